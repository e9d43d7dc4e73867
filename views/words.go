package views

import "strings"

// Who can mend what went wrong.
type Who string

const (
	WhoUser     Who = "user"
	WhoApp      Who = "app"
	WhoAdmin    Who = "admin"
	WhoProvider Who = "provider"
)

// Words is what a page says about one code. In its sentences {app},
// {provider}, {account} and {other} stand for the names, and {unchanged} for
// what did not happen: nothing was linked or, when a link existed, it stayed.
type Words struct {
	Headline string
	Says     string // what happened, what did not; no jargon, no blame
	Who      Who    // "": nothing needs mending
	Next     string // the next step as a sentence, where the page has no control for it
	Again    string // label of the control that begins again
	// Retry says whether beginning again can help; else the page leads back.
	Retry bool
	Mark  string // the sign beside the headline: ok, warn, stop, wait
}

// ResultWords are the words for the outcome of a flow, by its code. A flow
// that is not over has no code; ask UnfinishedWords.
func ResultWords(code string) Words { return wordsFor(code, resultWords, pageWords) }

// HistoryWords is the line of a history for a flow that failed with code.
func HistoryWords(code, app, provider string) string {
	return "Connecting did not work: " + names{App: app, Provider: provider}.in(ResultWords(code).Headline) + "."
}

// PageWords are the words for an error page, by its code.
func PageWords(code string) Words { return wordsFor(code, pageWords, resultWords) }

// UnfinishedWords are the words for a flow on its way, by its status.
func UnfinishedWords(status string) Words {
	if w, ok := unfinishedWords[status]; ok {
		return w
	}
	return unfinishedWords["started"]
}

// wordsFor looks in the tables in turn. A code without words is a mistake
// which a test finds; what a person sees then is still true.
func wordsFor(code string, tables ...map[string]Words) Words {
	for _, table := range tables {
		if w, ok := table[code]; ok {
			return w
		}
	}
	return pageWords["internal"]
}

var unfinishedWords = map[string]Words{
	"created":    {Headline: "Ready to connect {provider}", Says: "Nothing has happened yet.", Mark: "wait"},
	"started":    {Headline: "Waiting for {provider}", Says: "Finish in the window where {provider} is open. The outcome shows here as soon as there is one.", Mark: "wait"},
	"returned":   {Headline: "Back from {provider}", Says: "The last checks take a few seconds.", Mark: "wait"},
	"verifying":  {Headline: "Checking that it is you", Says: "{app} is confirming that you are the person who began this. It takes a few seconds.", Mark: "wait"},
	"exchanging": {Headline: "Almost there", Says: "{provider} has agreed. Setting up the link takes a few seconds.", Mark: "wait"},
}

// overWords are for a page about a flow that is over: it says only that.
var overWords = Words{
	Headline: "This attempt is already over",
	Says:     "What you opened belongs to an attempt that has ended. Opening it again changes nothing.",
	Who:      WhoUser,
	Next:     "Go back to the app to see what is linked, or to begin again.",
	Again:    "Begin again",
	Mark:     "stop",
}

var resultWords = map[string]Words{
	"connected": {
		Headline: "{provider} is connected",
		Says:     "{app} can now use the account below.",
		Mark:     "ok",
	},
	"scopes_missing": {
		Headline: "{provider} is connected, but not fully",
		Says:     "The account below is linked. Some of the access {app} asked for was left out, so parts of it may not work.",
		Who:      WhoUser, Again: "Grant the rest", Retry: true, Mark: "warn",
	},
	"no_refresh_token": {
		Headline: "{provider} is connected for now",
		Says:     "The account below is linked and works. {provider} gave no lasting access, so you will be asked to connect again when it runs out.",
		Who:      WhoApp, Mark: "warn",
	},
	"access_denied": {
		Headline: "{provider} was not connected",
		Says:     "The request was declined at {provider}. {unchanged} If that is what you wanted, you are done.",
		Who:      WhoUser, Again: "Try again", Retry: true, Mark: "stop",
	},
	"expired": {
		Headline: "Time ran out",
		Says:     "This attempt was not finished in time, so it was closed. {unchanged}",
		Who:      WhoUser, Again: "Begin again", Retry: true, Mark: "stop",
	},
	"superseded": {
		Headline: "This was already done elsewhere",
		Says:     "You finished connecting {provider} in another window, so this attempt was set aside. It changed nothing.",
		Mark:     "stop",
	},
	"canceled": {
		Headline: "This attempt was canceled",
		Says:     "It was stopped before it was finished. {unchanged}",
		Who:      WhoUser, Again: "Begin again", Retry: true, Mark: "stop",
	},
	"account_mismatch": {
		Headline: "That is another {provider} account",
		Says:     "One account can be linked at a time. The account you chose was not added, and the one you had stays linked.",
		Who:      WhoUser, Again: "Reconnect {provider}", Retry: true, Mark: "warn",
	},
	"user_mismatch": {
		Headline: "This was begun by someone else",
		Says:     "The person signed in to {app} is not the one who began this attempt, so it was stopped. {unchanged}",
		Who:      WhoUser, Next: "Check who you are signed in to {app} as, then begin again.", Again: "Begin again", Mark: "stop",
	},
	"assurance_too_low": {
		Headline: "We could not be sure it was you",
		Says:     "{app} asks for more certainty than this way of connecting can give. {unchanged}",
		Who:      WhoApp, Next: "Open {app}, sign in, and connect from there.", Again: "Begin again", Mark: "stop",
	},
	"issuer_mismatch": {
		Headline: "The answer came from the wrong place",
		Says:     "What came back was not marked as coming from {provider}, so it was not used. {unchanged}",
		Who:      WhoApp, Next: "Tell the people who run {app}, with the reference below.", Again: "Begin again", Mark: "stop",
	},
	"client_rejected": {
		Headline: "{provider} does not recognize {app}",
		Says:     "The way {app} is registered at {provider} was refused. It is nothing you did. {unchanged}",
		Who:      WhoApp, Next: "Tell the people who run {app}, with the reference below.", Again: "Try again", Mark: "stop",
	},
	"scope_rejected": {
		Headline: "{provider} refused what {app} asked for",
		Says:     "{app} asked for access that {provider} does not give it. It is nothing you did. {unchanged}",
		Who:      WhoApp, Next: "Tell the people who run {app}, with the reference below.", Again: "Try again", Mark: "stop",
	},
	"redirect_uri_rejected": {
		Headline: "{provider} does not know the way back",
		Says:     "{provider} would not return you here, because {app} has not told it this address. It is nothing you did. {unchanged}",
		Who:      WhoApp, Next: "Tell the people who run {app}, with the reference below.", Again: "Try again", Mark: "stop",
	},
	"provider_error": {
		Headline: "{provider} could not finish this",
		Says:     "{provider} answered with an error. {unchanged}",
		Who:      WhoProvider, Next: "Try again in a few minutes.", Again: "Try again", Retry: true, Mark: "stop",
	},
	"provider_unavailable": {
		Headline: "{provider} is not answering",
		Says:     "{provider} could not be reached in time. {unchanged}",
		Who:      WhoProvider, Next: "Try again in a few minutes.", Again: "Try again", Retry: true, Mark: "stop",
	},
}

var pageWords = map[string]Words{
	"access_denied": {
		Headline: "You were not signed in",
		Says:     "Signing in was declined at {provider}. Nothing was changed.",
		Who:      WhoUser, Next: "Go back to {app} and sign in again.", Again: "Sign in again", Retry: true, Mark: "stop",
	},
	"expired": {
		Headline: "This is no longer valid",
		Says:     "What you opened works once, and only for a short time. Nothing was changed.",
		Who:      WhoUser, Next: "Go back to {app} and open it from there.", Again: "Start again", Mark: "stop",
	},
	"state_unknown": {
		Headline: "There is nothing to finish here",
		Says:     "You came back from a provider, but no attempt is waiting for this answer. It may be old. Nothing was linked.",
		Who:      WhoUser, Next: "Go back to {app} and begin again.", Again: "Begin again", Mark: "stop",
	},
	"cookie_missing": {
		Headline: "This did not begin in this browser",
		Says:     "Connecting must end in the browser where it began, and this one has no memory of beginning it. Nothing was linked. If it did begin here, allow cookies for this site.",
		Who:      WhoUser, Next: "Return to the browser where you began, or go back to {app} and begin again here.", Again: "Begin again here", Mark: "stop",
	},
	"browser_mismatch": {
		Headline: "This was begun in another browser",
		Says:     "To protect your accounts, connecting must end in the browser where it began. Nothing was linked. If someone sent you this address, close the page.",
		Who:      WhoUser, Next: "To connect an account of your own, go back to {app} and begin there.", Again: "Begin again here", Mark: "stop",
	},
	"origin_rejected": {
		Headline: "This did not come from our own page",
		Says:     "The request was sent from somewhere else, so it was refused. Nothing was changed.",
		Who:      WhoUser, Next: "Open the page again from {app} and use its own buttons.", Again: "Open the page", Mark: "stop",
	},
	"framed_wrongly": {
		Headline: "This page belongs inside {app}",
		Says:     "It was opened in a place it is not made for, so it shows nothing about you.",
		Who:      WhoApp, Next: "Open it from {app}.", Again: "Go on", Mark: "stop",
	},
	"window_not_opened": {
		Headline: "The window did not open",
		Says:     "Your browser held back the window for {provider}. Nothing has happened yet.",
		Who:      WhoUser, Next: "Allow new windows for this page, then press Connect again.", Again: "Try again", Mark: "warn",
	},
	"user_mismatch": {
		Headline: "This is for someone else",
		Says:     "It was made for another person than the one signed in here. Nothing was changed.",
		Who:      WhoUser, Next: "Sign out here first, then open it again.", Again: "Go back", Mark: "stop",
	},
	"unauthorized": {
		Headline: "Open this from the app",
		Says:     "This page shows accounts that belong to one person, and only the app can tell us that it is you.",
		Who:      WhoUser, Next: "Go to the app and open your connected accounts there.", Again: "Sign in", Mark: "stop",
	},
	"forbidden": {
		Headline: "You cannot do that here",
		Says:     "Who you are signed in as does not allow it. Nothing was changed.",
		Who:      WhoUser, Next: "Go back to {app} and begin from there.", Again: "Go back", Mark: "stop",
	},
	"origin_not_allowed": {
		Headline: "This site may not show this page",
		Says:     "{app} has not listed the site that asked for it, so it shows nothing about you.",
		Who:      WhoApp, Next: "Tell the people who run {app}, with the reference below.", Again: "Go on", Mark: "stop",
	},
	"not_found": {
		Headline: "There is no such page",
		Says:     "The address may be mistyped, or what it showed is gone.",
		Who:      WhoUser, Next: "Go back to {app} and open it from there.", Again: "Go back", Mark: "stop",
	},
	"not_connected": {
		Headline: "Nothing is connected here",
		Says:     "There is no account linked, so there was nothing to do.",
		Who:      WhoUser, Next: "Go back to {app} to connect one.", Again: "See your accounts", Mark: "stop",
	},
	"reconnect_required": {
		Headline: "{provider} needs to be connected again",
		Says:     "The link to your account no longer works. Nothing else was changed.",
		Who:      WhoUser, Next: "Go back to {app} and reconnect the account.", Again: "See your accounts", Mark: "warn",
	},
	"flow_finished": overWords,
	"connection_changed": {
		Headline: "This changed a moment ago",
		Says:     "The account was disconnected or replaced while you were looking at it. What you asked for was not done.",
		Who:      WhoUser, Next: "Open your accounts again to see how it stands.", Again: "See how it stands", Mark: "warn",
	},
	"invalid_request": {
		Headline: "Something in that request was not right",
		Says:     "It arrived incomplete or in a form we cannot use, so nothing was changed.",
		Who:      WhoUser, Next: "Go back one page and try once more.", Again: "Go back", Mark: "stop",
	},
	"method_not_allowed": {
		Headline: "This address is not for that",
		Says:     "It was opened in a way it does not offer. Nothing was changed.",
		Who:      WhoUser, Next: "Go back to {app} and open it from there.", Again: "Go back", Mark: "stop",
	},
	"unsupported_media_type": {
		Headline: "That form cannot be read",
		Says:     "It was sent in a way this page does not accept. Nothing was changed.",
		Who:      WhoUser, Next: "Go back one page, reload it, and send it again.", Again: "Go back", Mark: "stop",
	},
	"too_large": {
		Headline: "That was too much at once",
		Says:     "What was sent is larger than this page accepts. Nothing was changed.",
		Who:      WhoUser, Next: "Go back one page and send less.", Again: "Go back", Mark: "stop",
	},
	"rate_limited": {
		Headline: "Just a moment",
		Says:     "Many requests came in a short time, so this one was held back. Nothing was changed.",
		Who:      WhoUser, Next: "Wait a minute, then reload this page.", Again: "Try again", Mark: "wait",
	},
	"internal": {
		Headline: "Something went wrong on our side",
		Says:     "It is nothing you did. What you asked for may not have been done.",
		Who:      WhoApp, Next: "Try again. If it keeps happening, give {app} the reference below.", Again: "Try again", Mark: "stop",
	},
	"unavailable": {
		Headline: "We will be right back",
		Says:     "The service cannot answer at this moment. Nothing was changed.",
		Who:      WhoApp, Next: "Wait a minute, then reload this page.", Again: "Try again", Mark: "wait",
	},
	"connector_misconfigured": {
		Headline: "{provider} is not set up correctly",
		Says:     "The way {app} is registered at {provider} was refused. It is nothing you did, and nothing was changed.",
		Who:      WhoApp, Next: "Tell the people who run {app}, with the reference below.", Again: "Try again", Mark: "stop",
	},
}

// names fills the placeholders of one page's words.
type names struct {
	App, Provider, Account, Other string
	Kept                          bool // a link existed before and is as it was
}

func (n names) in(sentence string) string {
	unchanged := "Nothing was linked."
	if n.Kept {
		unchanged = "The link you already had stays as it was."
	}
	// One pass after the other: {unchanged} holds no name, and a name that
	// looks like a placeholder must stay what it is.
	sentence = strings.ReplaceAll(sentence, "{unchanged}", unchanged)
	return strings.NewReplacer(
		"{app}", isolate(or(n.App, "the app")),
		"{provider}", isolate(or(n.Provider, "the provider")),
		"{account}", isolate(or(n.Account, "your account")),
		"{other}", isolate(or(n.Other, "another account")),
	).Replace(sentence)
}

// begin is in for a sentence that may begin with a name that is not known.
func (n names) begin(sentence string) string {
	s := n.in(sentence)
	for _, start := range []string{"the app", "the provider", "your account", "another account"} {
		if strings.HasPrefix(s, start) {
			return strings.ToUpper(s[:1]) + s[1:]
		}
	}
	return s
}

// mend names who can set it right.
func (n names) mend(w Who) string {
	switch w {
	case WhoUser:
		return "You"
	case WhoApp:
		return n.begin("{app}")
	case WhoAdmin:
		return "Your administrator"
	case WhoProvider:
		return n.begin("{provider}")
	}
	return ""
}

// proofWords say how it is known that the right person made a connection.
func proofWords(proof string, n names) string {
	switch proof {
	case "browser":
		return "It began and ended in the same browser."
	case "frame":
		return n.in("It began inside {app}.")
	case "app":
		return n.begin("{app} confirmed that it was you.")
	case "login":
		return n.in("You had signed in through {app}.")
	case "human":
		return "You confirmed it on a page that named you."
	}
	return ""
}

func assuranceWords(assurance string, n names) string {
	switch assurance {
	case "app":
		return n.in("By {app}")
	case "human":
		return "By you"
	}
	return ""
}

// stateWords name a connector's state.
func stateWords(state string) string {
	switch state {
	case Connected:
		return "Connected"
	case Waiting:
		return "Waiting for you to finish"
	case ReconnectRequired:
		return "Needs to be reconnected"
	}
	return "Not connected"
}

// revokeWillWords say, before a disconnect, what the provider will be told.
func revokeWillWords(way string, n names) string {
	switch way {
	case RevokeUnsupported:
		return n.begin("{provider} offers no way to withdraw the access from here. What it issued ends by itself, or when you remove {app} there.")
	case RevokeSiblings:
		return n.begin("{provider} will be told to withdraw the access. It does so for the whole account, so these links end too:")
	}
	return n.begin("{provider} will be told to withdraw the access.")
}

// revokedWords say, after it, what the provider answered.
func revokedWords(revoked string, n names) string {
	switch revoked {
	case "yes":
		return n.begin("{provider} has withdrawn the access.")
	case "no":
		return n.begin("{provider} refused to withdraw the access. You can remove {app} at {provider} yourself.")
	case "unsupported":
		return n.begin("{provider} offers no way to withdraw the access from here. You can remove {app} at {provider} yourself.")
	}
	return n.begin("{provider} gave no clear answer. To be certain, look at {provider} yourself.")
}

func revokedTitle(revoked string) string {
	switch revoked {
	case "yes":
		return "Access withdrawn"
	case "no":
		return "Access not withdrawn"
	case "unsupported":
		return "Cannot be withdrawn from here"
	}
	return "Not certain"
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// trialWords say what became of the access that a builder's try was given.
func trialWords(revoked string, n names) string {
	switch revoked {
	case "yes":
		return n.begin("{provider} has ended the access again.")
	case "":
		return n.in("The access at {provider} was left alone, because the same account is linked with this client.")
	case "unsupported":
		return n.begin("{provider} has no way to end the access from here: it runs out by itself, or is removed in the account's settings.")
	}
	return n.begin("{provider} did not confirm that the access ended: look in the account's settings there.")
}
