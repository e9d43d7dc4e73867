// Package types proves every integration type of the catalogue against the sandbox's
// imitation of its provider: the client reads the catalogue, the sandbox knows nothing
// of it. What comes out is compared with a table written by hand, the third opinion.
package types
