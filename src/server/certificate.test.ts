import { pino } from "pino";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Rollouts } from "../trajectory/rollouts.ts";
import { Authorities } from "./certificate.fixture.ts";
import { type Certificate, type Pem, TlsCredentials } from "./certificate.ts";
import { connect } from "./client.ts";
import { type Listening, listen } from "./listen.ts";
import type { ClientTls } from "./quarrel.ts";

const made = new Authorities();
const TOKENS = [{ token: "right-token", scopes: ["rollout"] as const }];
const open: { close(): unknown }[] = [];
let ours: Pem;
let others: Pem;
let server: { readonly cert: Pem; readonly key: Pem };
let client: ClientTls;
let stranger: ClientTls;

beforeAll(() => {
  ours = made.authority("ours");
  others = made.authority("others");
  server = made.certificate("server", "ours");
  client = { ca: ours.bytes, ...bytesOf(made.certificate("client", "ours")) };
  stranger = { ca: ours.bytes, ...bytesOf(made.certificate("stranger", "others")) };
});
afterAll(() => made.remove());
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

test("a client that knows the authority gets through, and only with its token", async () => {
  const { address } = await start(server);
  await expect(asked(address, { ca: ours.bytes }, "right-token")).resolves.toEqual([]);
  await expect(asked(address, { ca: ours.bytes })).rejects.toMatchObject({ fault: "unauthenticated" });
});

test("a client that trusts other authorities refuses the server, and says whom it trusts", async () => {
  const { address } = await start(server);
  await expect(asked(address, { ca: others.bytes })).rejects.toThrow(
    /certificate of the server will not do: unable to verify .*trusted: the authorities that were named/,
  );
  await expect(asked(address, {})).rejects.toThrow(/trusted: Node's authorities \(none were named\)/);
  await expect(asked(address, { ca: ours.bytes, serverName: "elsewhere" })).rejects.toThrow(/elsewhere/);
});

test("plain text to a TLS port and TLS to a plain one are told apart from a server that is down", async () => {
  const secure = await start(server);
  await expect(asked(secure.address, undefined)).rejects.toMatchObject({
    fault: "invalid",
    message: expect.stringMatching(/speaks TLS, and this client plain text: use grpcs:/),
  });
  const plain = await start(undefined);
  await expect(asked(plain.address, { ca: ours.bytes })).rejects.toThrow(/speaks plain text, and this client TLS/);
  await plain.close(0);
  await expect(asked(plain.address, { ca: ours.bytes })).rejects.toThrow(/UNAVAILABLE/);
});

test("where clients must show a certificate, one without and one of a stranger are refused in words", async () => {
  const { address } = await start({ ...server, clientCa: ours });
  await expect(asked(address, client, "right-token")).resolves.toEqual([]);
  await expect(asked(address, { ca: ours.bytes })).rejects.toThrow(
    /will not have .*none was named.*certificate required/,
  );
  await expect(asked(address, stranger)).rejects.toThrow(
    /will not have the certificate of this client: .*hung up, as for one of an authority that it does not know/,
  );
  await expect(asked(address, undefined)).rejects.toThrow(/speaks TLS/);
});

test("a new certificate is shown to who connects from then on, and one that will not do is not", async () => {
  const credentials = new TlsCredentials(server);
  const { address } = await start(credentials);
  const before = connect(address.replace("grpcs://", ""), { token: "right-token", tls: { ca: ours.bytes } });
  open.push(before);
  await before.listTasks({});
  const fresh = made.certificate("fresh", "others");
  expect(() => credentials.replace({ cert: fresh.cert, key: server.key })).toThrow(
    /tls\.key_file: expected the key of/,
  );
  await expect(asked(address, { ca: ours.bytes }, "right-token")).resolves.toEqual([]);
  credentials.replace(fresh);
  await expect(asked(address, { ca: others.bytes }, "right-token")).resolves.toEqual([]);
  await expect(asked(address, { ca: ours.bytes })).rejects.toThrow(/will not do/);
  await expect(before.listTasks({})).resolves.toMatchObject({ tasks: [] });
});

test("a certificate that has ended is refused by the server that would show it, and by clients", async () => {
  const ended = made.certificate("ended", "ours", -1);
  expect(() => new TlsCredentials(ended)).toThrow(
    /tls\.cert_file: expected a certificate that is valid now, got .*ended\.pem, which ended at/,
  );
  const { address } = await start({ ...server, clientCa: ours });
  await expect(asked(address, { ca: ours.bytes, ...bytesOf(ended) })).rejects.toThrow(
    /will not have the certificate of this client: .*one that has ended/,
  );
});

test.each<[string, () => Certificate, RegExp]>([
  [
    "another's key",
    () => ({ ...server, key: made.pem("client.key") }),
    /tls\.key_file: expected the key of the certificate CN=server in .*server\.pem, got another key in .*client\.key/,
  ],
  [
    "a key in place of a certificate",
    () => ({ ...server, cert: server.key }),
    /tls\.cert_file: expected certificates in PEM, got .*server\.key/,
  ],
  [
    "a certificate in place of a key",
    () => ({ ...server, key: server.cert }),
    /tls\.key_file: expected a private key in PEM without a passphrase, got .*server\.pem/,
  ],
  [
    "bytes that are nothing",
    () => ({
      ...server,
      cert: { path: "x", bytes: Buffer.from("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----") },
    }),
    /tls\.cert_file: expected certificates in PEM, got x \(/,
  ],
  [
    "a server's certificate in place of authorities",
    () => ({ ...server, clientCa: made.pem("client.pem") }),
    /tls\.client_ca_file: expected certificates of authorities, got CN=client, which is none/,
  ],
])("%s is refused with the setting, what was expected and what was got", (_what, certificate, message) => {
  expect(() => new TlsCredentials(certificate())).toThrow(message);
});

test("beyond loopback tokens and TLS are needed, or the word that something else protects them", async () => {
  const beyond = { address: "0.0.0.0:0" };
  await expect(start(undefined, beyond)).rejects.toMatchObject({ fault: "invalid", facts: { knob: "tls.cert_file" } });
  await expect(start(server, { ...beyond, tokens: [] })).rejects.toMatchObject({
    facts: { knob: "SANDLOT_TOKEN_<NAME>" },
  });
  expect((await start(server, beyond)).address).toMatch(/^grpcs:\/\/0\.0\.0\.0:\d+$/);
  expect((await start(undefined, { ...beyond, clearText: true })).address).toMatch(/^0\.0\.0\.0:\d+$/);
});

const bytesOf = ({ cert, key }: { readonly cert: Pem; readonly key: Pem }) => ({ cert: cert.bytes, key: key.bytes });

async function start(tls: Certificate | TlsCredentials | undefined, options: object = {}): Promise<Listening> {
  const listening = await listen({
    ...{ address: "127.0.0.1:0", tokens: TOKENS, version: "0", sandboxService: false, log: pino({ level: "silent" }) },
    rollouts: { tasks: () => [] } as Partial<Rollouts> as Rollouts, // all that ListTasks asks
    tls: tls && !(tls instanceof TlsCredentials) ? new TlsCredentials(tls) : tls,
    ...options,
  });
  open.push({ close: () => listening.close(0) });
  return listening;
}

/** What ListTasks answers over a connection of its own. */
async function asked(address: string, tls: ClientTls | undefined, token?: string): Promise<unknown> {
  const connection = connect(address.replace("grpcs://", ""), { token, tls });
  try {
    return (await connection.listTasks({}, { timeoutMs: 10_000 })).tasks;
  } finally {
    connection.close();
  }
}
