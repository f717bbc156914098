"""Provide the external builder: three shell scripts for packages that name a chaincode service.

A peer calls `detect` (is this package for the builder?), `build` and `release` (copy `connection.json`), and then
connects to the address in `connection.json`. Source: Fabric documentation, External Builders and Launchers.
"""

SCRIPTS = {
    "detect": """\
#!/bin/sh
# $1 source, $2 metadata: exit 0 where the package is a chaincode service
grep -q '"type" *: *"ccaas"' "$2/metadata.json"
""",
    "build": """\
#!/bin/sh
# $1 source, $2 metadata, $3 output
set -e
cp "$1/connection.json" "$3/connection.json"
if [ -d "$1/META-INF" ]; then cp -R "$1/META-INF" "$3/META-INF"; fi
""",
    "release": """\
#!/bin/sh
# $1 what build wrote, $2 release
set -e
mkdir -p "$2/chaincode/server"
cp "$1/connection.json" "$2/chaincode/server/connection.json"
if [ -d "$1/META-INF" ]; then cp -R "$1/META-INF/." "$2/"; fi
""",
}
