// Package config reads what the operator wrote, once, at start: the settings
// (flags, environment, secret files) and the apps file. It owns their names, their
// defaults and what is a legal value, and it reports every problem of one reading
// at once, each with the place it is at and what to do about it.
//
// It does not know what the values are used for: nothing here opens the database,
// calls an address, or stores an app. What the catalogue of integration types says
// about a connector is asked through Checker.
//
// No error shows a secret. An error about a secret field never repeats its value,
// the sentences of the YAML parser are replaced by our own, and what an environment
// variable put into a text is shown as ${NAME}.
package config
