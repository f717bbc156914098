// The unmodified official client against the embedded peer. Usage: node client.mjs HOST:PORT CRYPTO_DIR
// Prints one JSON object with what it saw; the test judges it.
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRequire } from 'node:module';

// Dependencies are installed outside of the source tree: NODE_HOME names that folder.
const require = createRequire(join(process.env.NODE_HOME, 'package.json'));
const grpc = require('@grpc/grpc-js');
const { connect, signers, hash } = require('@hyperledger/fabric-gateway');

const [endpoint, crypto] = process.argv.slice(2);
const folder = join(crypto, 'EVUserMSP', 'gateway1');
const client = new grpc.Client(endpoint, grpc.credentials.createInsecure());
const gateway = connect({
  client,
  hash: hash.sha256,
  identity: { mspId: 'EVUserMSP', credentials: readFileSync(join(folder, 'cert.pem')) },
  signer: signers.newPrivateKeySigner(createPrivateKey(readFileSync(join(folder, 'key.pem')))),
});
const network = gateway.getNetwork('energych');
const contract = network.getContract('token');
const text = (bytes) => new TextDecoder().decode(bytes);
const call = (name, args) => [name, { arguments: [JSON.stringify(args)] }];
const submit = async (name, args) => JSON.parse(text(await contract.submit(...call(name, args))));
const failure = async (promise) => {
  try {
    await promise;
    return { name: 'none' };
  } catch (error) {
    return { name: error.name, code: error.code, message: error.message, details: error.details };
  }
};
const endorse = (name, args) => contract.newProposal(...call(name, args)).endorse();
const outcome = async (transaction) => {
  const status = await (await transaction.submit()).getStatus();
  return { code: status.code, successful: status.successful, block: Number(status.blockNumber) };
};

const seen = {};
seen.submitted = await submit('Add', { key: 'node', n: 7 });
seen.evaluated = JSON.parse(text(await contract.evaluate(...call('Get', { key: 'node' }))));
seen.endorseError = await failure(endorse('Add', { key: 'node', n: -100 }));
seen.evaluateError = await failure(contract.evaluate(...call('Add', { key: 'node', n: -100 })));

// Two endorsed on the same version: one wins.
const first = await endorse('Add', { key: 'node', n: 1 });
const second = await endorse('Add', { key: 'node', n: 1 });
seen.first = await outcome(first);
seen.second = await outcome(second);

// The same envelope again: accepted, and the first outcome stays.
seen.again = await outcome(first);
seen.value = JSON.parse(text(await contract.evaluate(...call('Get', { key: 'node' }))));

// Signed elsewhere, step by step, from bytes.
const offline = contract.newProposal(...call('Add', { key: 'offline', n: 3 }));
const restored = gateway.newProposal(offline.getBytes());
const transaction = gateway.newTransaction((await restored.endorse()).getBytes());
seen.offline = await outcome(transaction);
seen.duplicate = await failure(restored.endorse());

const events = await network.getChaincodeEvents('token', { startBlock: BigInt(0) });
seen.events = [];
for await (const event of events) {
  seen.events.push({ name: event.eventName, block: Number(event.blockNumber), payload: JSON.parse(text(event.payload)) });
  if (seen.events.length === 3) break;
}
events.close();
gateway.close();
client.close();
console.log(JSON.stringify(seen));
