// Calls one method of the published SDK, as an app would, and prints what came of it:
//   node sdk/call.mjs user|service METHOD ARGUMENT...
// {"result": …} or {"error": {name, status, code, message}}; exit code 0 for both.
import { createClient } from "@base44/sdk";

const [as, method, ...args] = process.argv.slice(2);
const { SERVER_URL: serverUrl, APP_ID: appId, USER_TOKEN: token, SERVICE_TOKEN: serviceToken } = process.env;
const client = createClient({ serverUrl, appId, token: token || undefined, serviceToken: serviceToken || undefined });
const connectors = as === "service" ? client.asServiceRole.connectors : client.connectors;

// An argument that is a JSON object is given as one.
const values = args.map((a) => (a.startsWith("{") ? JSON.parse(a) : a));
const outcome = await connectors[method](...values).then(
  (result) => ({ result: result ?? null }),
  ({ name, status, code, message }) => ({ error: { name, status, code, message } }),
);
console.log(JSON.stringify(outcome));
client.cleanup();
