"""Share fakes, worlds, processes and measurements between tests. One line per module.

The contract, the peer and the ledger:

- `contract_world`: the contract on a world state in memory;
- `participants_host`: the contract in memory behind ledger ports, with a clock that a test advances;
- `toy_contract`: a small contract for tests of peer and client;
- `chaincode_host`: a chaincode service in the test's process;
- `chaincode_peer`: a fake of a Fabric peer's half of the chaincode protocol;
- `peer_network`: identities, proposals and endorsed envelopes without a process;
- `peer_process`: the embedded peer in a separate process;
- `proxy`: a TCP proxy to a peer that a test can interrupt;
- `ledger_fake`: a fake peer that endorses and commits with seeded faults;
- `ledger_script`: one script of calls for the embedded peer and for Fabric;
- `conformance_network`: the network of the ledger's conformance suite;
- `fabric_network`: finds the programs of a real Hyperledger Fabric;
- `fabric_stand_ins`: stand-ins for Fabric's programs;
- `node_packages`: the packages of Fabric's official Node client;
- `generate_proto`: generates the Fabric message modules;
- `audit_world`: a small day with blocks, facts and sealed books for the auditor.

The core and the gateway:

- `core_bench`: steps the core by one event at a time;
- `gateway_fakes`: a fake of each port of the gateway;
- `universe`: station days in memory with virtual time, faults and kills;
- `charger_side`: the cars and chargers of a universe;
- `plug`: one EVSE's physics in a universe;
- `days`: random days of a universe, and the check of their books;
- `station_stores`: one of every store of a station, for tests of backups;
- `journal_days`: days written into the real journal, to measure its size;
- `whole_edge`: the whole gateway with real sockets and journal;
- `closed_unions`: finds what a table or a module leaves out of a closed union.

Chargers, meters and MQTT:

- `chargers_station`: settings and dialogues for unit tests of the OCPP adapter;
- `chargers_running`: a running OCPP listener, and chargers that connect to it;
- `outgoing_commands`: the places that an outgoing OCPP command needs in the source;
- `csms`: a CSMS that records the simulated charger's CALLs;
- `modbus_bus`: several meters at one Modbus TCP address, which can misbehave;
- `raw_modbus`: a Modbus TCP server that answers bytes of a test's own;
- `loop_thread`: an event loop in a thread;
- `broker`: a real mosquitto broker, and a client that records messages;
- `mqtt_station`: a process that publishes a station over MQTT.

The representative and the participants:

- `representative_fake`: a fake of the representative;
- `representative_world`: the real representative, in this process or behind TLS;
- `representative_variants`: all implementations, for the conformance suite;
- `representative_desks`: a fake currency exchange and offer book;
- `receipts_fake`: a fake of the receipt book;
- `exchange_world`: a currency exchange that can be killed at any step.

The pages:

- `web_site`: a site's surroundings, and a client that acts as a browser;
- `web_served`: a site on a real port, with a driver, and the list of its pages;
- `web_pictures`: data and pictures for charts and map;
- `driver_world`: the drivers' pages with prices, sessions and live updates;
- `driver_walk`: a driver's steps through the pages in a real browser;
- `operator_fake`: a fake of the operator's desk, and an operator's browser;
- `chromium`: a real browser, and the faults of the pages that it opens;
- `catalogues`: extracts and compiles the pages' texts;
- `hostile_texts`: texts that attack those who read them.

Processes, disks and machines:

- `station`: commands and the daemon as separate processes;
- `background`: commands as background jobs of a shell without job control;
- `open_house`: the demo's interactive station;
- `disturbance`: a station day of real processes with a disturbance;
- `recorded_station`: the daemon under strace;
- `cut_disk`: the states of a disk after a power cut;
- `power_cut`: checks a recorded journal after every possible power cut;
- `normal_daemon`: the daemon with synchronous=NORMAL, as a control;
- `clean_root`: a clean Debian to install the package in;
- `certificates`: a certificate authority;
- `time_limit`: a second time limit for each test;
- `patience`: how long tests wait for an expected event.
"""
