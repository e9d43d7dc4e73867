// Package connect is the heart of Patchbay: it links an end user's account at a
// provider to a connector of an app, and hands the app's back end a fresh token for
// as long as the user lets it. It owns apps, connectors, connect sessions, flows,
// connections and refresh. It knows no HTTP and no SQL: handlers translate requests
// into its calls, and the Store it declares keeps its rows.
//
// # One flow
//
// A flow is one attempt to make a connection. Only requests and the clock move it:
//
//	status      entered when                              left for
//	created     the row is made                           started
//	started     the interstitial was answered             verifying, exchanging, denied, failed,
//	                                                      expired (15 min), superseded, canceled
//	returned    the provider sent the browser back        (passed through in one statement)
//	verifying   the app's confirm is awaited              exchanging, failed, expired (60 s),
//	                                                      superseded, canceled
//	exchanging  the code is at the token endpoint         connected, failed, superseded
//	connected   the connection is stored                  -
//	failed      something refused; the code says what     -
//	denied      the person said no at the provider        -
//	expired     the clock                                 -
//	superseded  another flow of this user and connector
//	            connected first                           -
//	canceled    the person ended it                       -
//
// # Bind before exchange
//
// The provider's token endpoint is called only by finish, and finish is reached only
// with the proofs that Required demands: the browser that returns holds the secret
// that Start gave it, and one more, decided at the start: it was posted from our frame
// inside the one page that may hold it (frame), the person signed in to us through the
// app's OpenID provider (login), the app's own session names the same user (app), or
// the person was told who began this and went on (human). Nothing turns that off.
//
// # One refresh
//
// A refresh is a lease with a fence. Its state stands in the connection's row, so that any
// number of processes see the same one, and no transaction is open while the provider is
// called:
//
//	state     in the row                               left by
//	idle      no lease, no intent                      claim (generation + 1, lease, intent)
//	claimed   lease, intent                            store: the answer is kept, idle again
//	                                                   release: a definite failure, idle again,
//	                                                   not before retry_at
//	                                                   release: no answer came, unknown
//	                                                   15 s unchanged: the holder is gone, unknown
//	unknown   intent, lease over                       claim, with a recovery noted: the same
//	                                                   refresh token is sent once more
//	suspect   a fickle provider said invalid_grant     claim, 30 s later
//	ended     reconnect_required, with a reason        the user links again
//
// What is written after a claim needs the claim's generation: whoever was frozen or slow in
// the meantime writes nothing. One thing is stored at any later generation too: fresh tokens
// whose parent is still the stored refresh token, because nobody has anything newer. While
// the database is away the answer waits in memory and in the spool of the state directory.
//
// A provider in trouble closes its connector for all instances (health): one probe in ten
// seconds goes out. Grants are not called dead any more when more than a fifth of a
// connector's refreshes say so within five minutes (the brake).
//
// The files follow a flow: app, identity, connectsession, frame, ticket, start, return,
// confirm, finish, then connection and disconnect for what comes after, refresh for reading
// a token, renew for making it fresh, health, ahead and local for what surrounds that.
package connect
