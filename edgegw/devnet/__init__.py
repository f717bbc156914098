"""A native Hyperledger Fabric network on one machine, for tests and for trying edgegw with one (`edgegw devnet`).

`definition` reads configs/fabric/network.toml; `layout` gives every node its folder and ports; `nodes`, `channel` and
`builder` generate configuration files as `yaml_text`; `programs` finds and calls Fabric's programs; `identities` issues
clients with the embedded peer's names and roles; `processes` starts and ends nodes; `network` creates, starts and
describes the network; `lifecycle` deploys a chaincode package to the channel.
Independent of the station and of the contract.
"""
