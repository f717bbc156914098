"""A Hyperledger Fabric network on one machine, natively: for tests, and for whoever wants to see one. `edgegw devnet`.

`definition` (configs/fabric/network.toml) -> `layout` (every node with its folder and ports; pure) -> `nodes`, `channel` and
`builder` (what each configuration file says; pure) -> `programs` (which of Fabric's programs, and one call of one) ->
`identities` (clients, in the folders and with the roles that the embedded peer makes too) -> `processes` (started, watched,
ended) -> `network` (the order of it all) -> `lifecycle` (a chaincode package becomes a contract of the channel).
Knows nothing of a station, and nothing of the contract.
"""
