// Runs npm oidc-provider, with its own login and consent pages, for the tests:
//   node op.mjs REDIRECT_URI...
// It listens on a free port of 127.0.0.1 and prints its issuer. The one client, "acme"
// with the secret "acme-secret", sends its secret in the body and must use PKCE. Any name
// and password sign in; the name is the account's.
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const client = {
  client_id: "acme",
  client_secret: "acme-secret",
  token_endpoint_auth_method: "client_secret_post",
  redirect_uris: process.argv.slice(2),
  response_types: ["code"],
  grant_types: ["authorization_code", "refresh_token"],
};

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [client],
    scopes: ["openid", "offline_access"],
    claims: { openid: ["sub"], email: ["email"], profile: ["name"] },
    findAccount: (ctx, name) => ({
      accountId: name,
      claims: () => ({ sub: name, name, email: `${name}@op.example` }),
    }),
    features: { revocation: { enabled: true } },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    ttl: { AccessToken: 60, Grant: 3600, IdToken: 60, Interaction: 600, RefreshToken: 3600, Session: 3600 },
  });
  // The tests' connectors are of Google's kind, and Google lets whoever holds a token
  // revoke it. This server wants to know the client (RFC 7009 section 2.1), so it is told.
  provider.use((ctx, next) => {
    if (ctx.path === "/token/revocation" && !ctx.get("authorization")) {
      const pair = Buffer.from(`${client.client_id}:${client.client_secret}`).toString("base64");
      ctx.req.headers.authorization = `Basic ${pair}`;
    }
    return next();
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
process.once("SIGTERM", () => process.exit(0));
