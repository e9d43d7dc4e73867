// Package store keeps connect's rows in an SQL database. It is the only package that
// imports database/sql and drivers, and it implements connect.Store; what a row means,
// who may see it and when it changes is connect's business. It seals and opens nothing:
// secrets reach it sealed and leave it sealed.
//
// The statements are SQL that PostgreSQL reads as SQLite does: $n placeholders, ON
// CONFLICT, RETURNING, times as integers of Unix milliseconds (0 for the zero time),
// lists and maps as JSON text. Only the schema is a database's own, in a folder of
// migrations named after it.
//
// Rules that every statement keeps:
//
//   - What is claimed or consumed is claimed by the statement that changes it, with
//     the whole condition in its outer WHERE. Nothing is decided on an earlier read.
//   - A row that was asked for by a key is compared with the key before it is handed
//     out. A driver that mixes up two queries causes an error, never a stranger's row.
//   - A write that has begun is not given up when its caller is: it takes at most as
//     long as the lock is waited for, and its outcome is known.
//   - An app's or a connector's rows hang on it by foreign keys, so that removing it
//     removes them, and nothing of them returns with a new one of the same id.
//
// The files: sqlite and sqlitefile open a database, tx holds how it is read and
// written, fields how Go values become columns; the others have one topic of
// connect.Store each.
package store
