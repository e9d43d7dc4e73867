// Exit code 0 on a Node that has what oidc-provider calls: Node 22, or a late 20.
import * as crypto from "node:crypto";

process.exit(URL.parse && crypto.hash ? 0 : 1);
