// The SDK in a page of the app, for a browser: call(options, method, argument) resolves
// to what sdk/call.mjs prints.
import { createClient } from "@base44/sdk";

globalThis.call = (options, method, ...args) =>
  createClient({ analytics: { enabled: false }, ...options }).connectors[method](...args).then(
    (result) => ({ result: result ?? null }),
    ({ name, status, code, message }) => ({ error: { name, status, code, message } }),
  );
