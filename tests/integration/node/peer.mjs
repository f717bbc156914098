// A Fabric peer's half of the chaincode protocol in the official message definitions. Usage: node peer.mjs HOST:PORT <input.json
// Input: { batchMax, pageSize, state: {key: text}, calls: [{ txId, proposal, args }] }, bytes in hex.
// Prints one JSON object with what the chaincode said and asked; the test judges it.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

// Dependencies are installed outside of the source tree: NODE_HOME names that folder.
const require = createRequire(join(process.env.NODE_HOME, 'package.json'));
const grpc = require('@grpc/grpc-js');
const { common, ledger, msp, peer } = require('@hyperledger/fabric-protos');
const { ChaincodeClient } = require('@hyperledger/fabric-protos/lib/peer/chaincode_shim_grpc_pb');
const { Timestamp } = require('google-protobuf/google/protobuf/timestamp_pb');
const queryresult = ledger.queryresult;

const given = JSON.parse(readFileSync(0, 'utf8'));
const T = peer.ChaincodeMessage.Type;
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, 'hex'));
const text = (value) => Buffer.from(value).toString();
const state = new Map(Object.entries(given.state));
const keys = () => [...state.keys()].sort();
const seen = { packageId: '', echoed: 0, calls: {} };
const iterators = new Map();

const client = new ChaincodeClient(process.argv[2], grpc.credentials.createInsecure());
const stream = client.connect();

function message(type, { payload, txId = '', build } = {}) {
  const made = new peer.ChaincodeMessage();
  made.setType(type);
  if (payload) made.setPayload(payload);
  made.setTxid(txId);
  made.setChannelId(txId ? 'energych' : '');
  if (build) build(made);
  return made;
}

function begin({ txId, proposal, args }) {
  const input = new peer.ChaincodeInput();
  input.setArgsList(args.map(bytes));
  const signed = new peer.SignedProposal();
  signed.setProposalBytes(bytes(proposal));
  seen.calls[txId] = { requests: [], writes: {}, policies: {} };
  const build = (made) => made.setProposal(signed);
  stream.write(message(T.TRANSACTION, { payload: input.serializeBinary(), txId, build }));
}

function pair(key) {
  const kv = new queryresult.KV();
  kv.setNamespace('token');
  kv.setKey(key);
  kv.setValue(Buffer.from(state.get(key)));
  return kv.serializeBinary();
}

function page(id, results, { take = given.pageSize, bookmark } = {}) {
  const answer = new peer.QueryResponse();
  answer.setResultsList(
    results.slice(0, take).map((one) => {
      const wrapped = new peer.QueryResultBytes();
      wrapped.setResultbytes(one);
      return wrapped;
    }),
  );
  answer.setId(id);
  if (bookmark !== undefined) {
    const metadata = new peer.QueryResponseMetadata();
    metadata.setFetchedRecordsCount(Math.min(take, results.length));
    metadata.setBookmark(bookmark);
    answer.setMetadata(metadata.serializeBinary());
  } else {
    answer.setHasMore(results.length > take);
    if (results.length > take) iterators.set(id, results.slice(take));
  }
  return answer.serializeBinary();
}

function range(asked, id) {
  const found = keys().filter((key) => key >= asked.getStartkey() && key < asked.getEndkey());
  if (asked.getMetadata_asU8().length === 0) return page(id, found.map(pair));
  const wanted = peer.QueryMetadata.deserializeBinary(asked.getMetadata_asU8());
  const left = found.filter((key) => key >= wanted.getBookmark());
  const take = wanted.getPagesize();
  return page(id, left.map(pair), { take, bookmark: left[take] ?? '' });
}

function change(txId, value) {
  const made = new queryresult.KeyModification();
  made.setTxId(txId);
  if (value === undefined) made.setIsDelete(true);
  else made.setValue(Buffer.from(value));
  const at = new Timestamp();
  at.setSeconds(7);
  at.setNanos(8_000_000);
  made.setTimestamp(at);
  return made.serializeBinary();
}

function record(call, one) {
  if (one.getType() === peer.WriteRecord.Type.DEL_STATE) call.writes[one.getKey()] = null;
  else if (one.getType() === peer.WriteRecord.Type.PUT_STATE) call.writes[one.getKey()] = text(one.getValue_asU8());
  else setPolicy(call, one);
}

function setPolicy(call, one) {
  const metadata = one.getMetadata();
  call.policies[one.getKey()] = [metadata.getMetakey(), organisations(metadata.getValue_asU8())];
}

function organisations(value) {
  const policy = common.SignaturePolicyEnvelope.deserializeBinary(value);
  const names = policy.getIdentitiesList().map((one) => {
    const role = common.MSPRole.deserializeBinary(one.getPrincipal_asU8());
    return [role.getMspIdentifier(), role.getRole()];
  });
  return { of: policy.getRule().getNOutOf().getN(), names };
}

const answers = {
  [T.GET_STATE]: (_, body) => Buffer.from(state.get(peer.GetState.deserializeBinary(body).getKey()) ?? ''),
  [T.PUT_STATE]: (call, body) => {
    const put = peer.PutState.deserializeBinary(body);
    call.writes[put.getKey()] = text(put.getValue_asU8());
  },
  [T.DEL_STATE]: (call, body) => (call.writes[peer.DelState.deserializeBinary(body).getKey()] = null),
  [T.PUT_STATE_METADATA]: (call, body) => setPolicy(call, peer.PutStateMetadata.deserializeBinary(body)),
  [T.WRITE_BATCH_STATE]: (call, body) =>
    peer.WriteBatchState.deserializeBinary(body)
      .getRecList()
      .forEach((one) => record(call, one)),
  [T.GET_STATE_BY_RANGE]: (call, body) =>
    range(peer.GetStateByRange.deserializeBinary(body), `i${call.requests.length}`),
  [T.QUERY_STATE_NEXT]: (_, body) => {
    const id = peer.QueryStateNext.deserializeBinary(body).getId();
    const left = iterators.get(id);
    iterators.delete(id);
    return page(id, left);
  },
  [T.QUERY_STATE_CLOSE]: (_, body) => iterators.delete(peer.QueryStateClose.deserializeBinary(body).getId()),
  [T.GET_HISTORY_FOR_KEY]: (_, body) => {
    const key = peer.GetHistoryForKey.deserializeBinary(body).getKey();
    return page('h', [change(`${key}-3`), change(`${key}-2`, 'new'), change(`${key}-1`, 'old')]);
  },
};

const names = Object.fromEntries(Object.entries(T).map(([name, number]) => [number, name]));

stream.on('data', (received) => {
  const type = received.getType();
  const txId = received.getTxid();
  const call = seen.calls[txId];
  if (type === T.REGISTER) {
    seen.packageId = peer.ChaincodeID.deserializeBinary(received.getPayload_asU8()).getName();
    const abilities = new peer.ChaincodeAdditionalParams();
    abilities.setUseWriteBatch(given.batchMax > 0);
    abilities.setMaxSizeWriteBatch(given.batchMax);
    stream.write(message(T.REGISTERED));
    stream.write(message(T.READY, { payload: abilities.serializeBinary() }));
    stream.write(message(T.KEEPALIVE));
    given.calls.forEach(begin);
  } else if (type === T.KEEPALIVE) {
    seen.echoed += 1;
  } else if (type === T.COMPLETED || type === T.ERROR) {
    call.ended = names[type];
    if (type === T.COMPLETED) {
      const response = peer.Response.deserializeBinary(received.getPayload_asU8());
      call.status = response.getStatus();
      call.message = response.getMessage();
      call.payload = text(response.getPayload_asU8());
      const event = received.getChaincodeEvent();
      call.event = event ? [event.getEventName(), text(event.getPayload_asU8())] : null;
    } else call.fault = text(received.getPayload_asU8());
    if (Object.values(seen.calls).every((one) => one.ended)) stream.end();
  } else {
    call.requests.push(names[type]);
    const answer = answers[type](call, received.getPayload_asU8());
    const payload = answer instanceof Uint8Array ? Uint8Array.from(answer) : undefined;
    stream.write(message(T.RESPONSE, { payload, txId }));
  }
});
stream.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
stream.on('end', () => {
  seen.iteratorsLeft = iterators.size;
  console.log(JSON.stringify(seen));
  client.close();
});
