package views

import "time"

// Page is what every page has. Handlers fill it once per request.
type Page struct {
	Title string // the document's title; "": the page's own
	Lang  string // of the page's words; "": en
	App   App    // zero on pages without an app
	User  *User  // whose session the page shows; nil: none
	Theme Theme
	// LogoutURL is where "Sign out" posts, with the hidden field app. "" hides it.
	LogoutURL string
	Trace     string
	// Frame says that the page is drawn inside the app's iframe: no header of
	// our own, and flows begin in a new tab.
	Frame bool
	// Sprite is the address static.Sprite gave for the configured logos.
	// "": a sprite of every logo there is.
	Sprite string
	// Live is what the frame's script works with; nil outside frames, and in a
	// frame whose session is not known.
	Live *FrameLive
}

// FrameLive is what the script of a framed page needs to keep the page true
// and to talk to the page around it. The layout prints it as attributes of
// body. A page drawn in a frame for which Live is nil does neither.
type FrameLive struct {
	View    string // list, settings, disconnect, receipt, result, error
	Origin  string // of the page around the frame; target of every message
	Session string // the connect session's id
	// Token reads URL, the address of the changes, as a bearer. It is not the
	// embed token. "" once the session is over: nothing is asked any more.
	Token, URL string
	After      int64 // id of the newest change that the page shows
	ExpiresIn  int   // whole seconds until the session ends
}

// App names the app on whose behalf the page is shown.
type App struct{ ID, Name string }

// User is an end user of the app.
type User struct{ ID, Name, Email string }

// Theme is an app's look. Both addresses are on our own origin; "" is none.
type Theme struct{ StylesheetURL, LogoURL string }

// Notice is one remark above a page's content.
type Notice struct {
	Kind string // info (or ""), ok, warn
	Text string
}

// The states of a connector, as data-state says them.
const (
	NotConnected      = "not_connected"
	Waiting           = "waiting"
	Connected         = "connected"
	ReconnectRequired = "reconnect_required"
)

// Connector is one thing that can be connected, and how it stands.
type Connector struct {
	ID, Type, Name, Description string
	Color                       string   // the brand's, #rrggbb; tints the letter tile
	Logo                        string   // name of a logo in static; "" or unknown: letter tile
	Abilities                   []string // what the app will be able to do, in plain words

	State     string   // NotConnected, Waiting, Connected, ReconnectRequired
	Connected bool     // while waiting: whether a connection exists, so reconnect instead of connect
	Account   string   // display label of the linked account
	Missing   []string // abilities asked for but not granted, in plain words

	// Ticket is posted to StartURL by connect and reconnect, with Params as
	// param.NAME. Without a StartURL the connector shows no such control.
	Ticket, StartURL string
	Params           []Param

	CancelURL     string // waiting: ends the unfinished flow; "" hides it
	RefreshURL    string // waiting: the page's own address; "": the page without its query
	DisconnectURL string // the page that asks; "" hides it

	WaitingFlow string // waiting, in a frame: id of the flow under way
	// Ended says, in a frame, how the last try of this session ended when it
	// did not connect. nil hides it, and so does a flow under way.
	Ended *Ended
}

// Ended is an attempt that did not connect.
type Ended struct {
	Code       string // as ResultPage.Code
	DetailsURL string // the result's page in the frame; "" hides the link
	Who        Who    // who can mend it, where more is known than the code says
}

// Param is something the end user fills in before the flow begins.
type Param struct {
	Name, Label, Description, Example, Value, Pattern, Error string
	Required                                                 bool
}

// ListPage shows what can be connected.
type ListPage struct {
	Page
	Connectors             []Connector
	SettingsURL, ReturnURL string // "" hides the link
	// RefreshURL is the page's own address in a frame, where a browser without
	// script has no other way to ask again. "" hides the link.
	RefreshURL string
	Notice     *Notice
}

// SettingsPage shows what is connected.
type SettingsPage struct {
	Page
	Connections []Connection
	ListURL     string
	ReturnURL   string
	RefreshURL  string         // as in ListPage
	History     []HistoryEntry // of accounts no longer linked, and of the session
	Notice      *Notice
}

// Connection is a connector with a connection, and what is known of it.
type Connection struct {
	Connector
	ConnectedAt, LastUsedAt *time.Time // LastUsedAt nil: never
	ExpiresAt               *time.Time // of the access itself, where it ends; nil: until revoked
	Proofs                  []string   // browser app human frame login
	Assurance               string     // app or human
	Scopes                  []string   // as the provider calls them
	Extra                   []string   // abilities granted beyond what was asked, in plain words
	History                 []HistoryEntry
	Reason                  string // reconnect_required: why, a whole sentence; "" has a general one
}

// HistoryEntry is one thing that happened, as a whole sentence.
type HistoryEntry struct {
	At        time.Time
	Text      string
	Connector string // its name; "" where the entry is shown under its connector
}

// The ways a disconnect can reach the provider.
const (
	RevokeYes         = "yes"         // the access is revoked there too
	RevokeSiblings    = "siblings"    // so, and that of the account's other connections here
	RevokeUnsupported = "unsupported" // the provider has no way
)

// DisconnectPage asks before a connection is removed.
type DisconnectPage struct {
	Page
	Connector          Connector
	ActionURL, BackURL string // the form's, and where cancel leads
	RevokeWay          string
	Siblings           []string // RevokeSiblings: the names of the connections that end too
	ProviderURL        string   // the provider's own page of linked apps
	Shared             bool     // the connection of the whole app
}

// ReceiptPage says what a disconnect did.
type ReceiptPage struct {
	Page
	Connector            Connector // with Account as it was
	Removed              bool
	Revoked              string // yes no unsupported unknown
	At                   time.Time
	ProviderURL, ListURL string
	Remains              []string // what stays, each a whole sentence; nil has a general one
}

// SwitchPage asks which of two users this browser should be.
type SwitchPage struct {
	Page
	Current, Next      User // Current is whose session this is; Page.User is not read
	ActionURL, StayURL string
	Ticket             string // posted as ticket when given
}

// LinkPage is the start page of a link. Page.User is the link's user, nil for
// a shared connector's link.
type LinkPage struct {
	Page
	Connector Connector
	ExpiresAt time.Time
	Shared    bool
	Notice    *Notice
}

// InterstitialPage stands between a start and the provider. Page.User is the
// flow's user, nil for a shared connector.
type InterstitialPage struct {
	Page
	FlowID                    string
	Connector                 Connector
	ContinueURL, ProviderHost string // http or https; any other address is dropped
	// Press says that the human proof is due: the page waits for Continue.
	// Else it also goes on by itself.
	Press               bool
	NotMeURL, CancelURL string // forms; "" hides
	Reconnect, Shared   bool
	Trial               bool // a builder's try: nothing is kept
}

// ResultPage says how a flow stands or ended.
type ResultPage struct {
	Page
	FlowID, Status, Code string // Code "" while unfinished
	Connector            Connector
	Abilities, Missing   []string
	OtherAccount         string // account_mismatch: the account that was chosen
	// Connector.Account is the account that is linked now, if any.

	ReturnURL     string // the app's, with flow, status and code added
	AgainURL      string // where one can begin again. With Connector.StartURL and Ticket a form begins at once instead
	RefreshURL    string // unfinished: this page's own address
	ListURL       string // where the user's connections are
	DisconnectURL string
	CancelURL     string // unfinished: form; "" hides it
	Reconnect     bool   // the flow renewed a connection
	Shared        bool
	Who           Who  // who can mend it, where more is known than the code says; "": by the code
	CloseTab      bool // the flow began in the app's frame: this tab may be closed

	// Trial says that a builder tried the connector: nothing was kept. GivenBack is how
	// the provider took the access back, as ReceiptPage.Revoked, "" where it was left
	// alone. ProviderSaid is the provider's error code.
	Trial                               bool
	GivenBack, ProviderSaid, BuilderURL string
}

// BuilderSignInPage asks for the builder key.
type BuilderSignInPage struct {
	Page
	ActionURL string
	Wrong     bool // what was sent is not a key of this app
}

// BuilderPage is what a builder sees of an app.
type BuilderPage struct {
	Page
	KeyName                string
	SignOutURL, PreviewURL string
	Address                string // of the page itself
	Connectors             []BuilderConnector
	Shared                 []BuilderConnection
	// User is whose connections were looked for; "" before.
	LookedFor   string
	Connections []BuilderConnection
	Failed      []FailedFlow
	Webhooks    []string   // addresses that are told of connections
	Deliveries  []Delivery // what was sent to them lately
	AgainURL    string     // where a delivery is asked for once more
	PublicURL   string
	Origins     []string
	FrameURL    string // of the preview; "" before it was asked for
	CheckURL    string
	Checked     bool // the doctor was asked
	Findings    []Finding
	Notice      *Notice
}

// Delivery is a message for a webhook.
type Delivery struct {
	ID, Kind, URL, User string
	State               string // "waiting", "arrived" or "given_up"
	Answer              string // of the last try
	Attempts            int
	At                  time.Time
	NextAt              time.Time // of the next try, for "waiting"
}

// BuilderConnector is a connector with what has to be done at the provider.
type BuilderConnector struct {
	Connector
	Shared              bool
	ConsoleURL, DocsURL string
	RedirectURI         string
	RedirectRules       []string // sentences
	RedirectProblem     string   // why the provider will refuse it; "" for nothing known
	ClientID            string
	Secrets             int // how many client secrets are set
	NeedsSecret         bool
	Scopes              []BuilderScope
	ChosenAtProvider    bool // the provider asks for the scopes at registration
	ShareURL            string
}

// BuilderScope is a scope with what it lets the app do.
type BuilderScope struct{ Name, Ability string }

// BuilderConnection is a connection as its builder may see it.
type BuilderConnection struct {
	Connector, State, Account string
	Scopes                    []string
	ConnectedAt, LastUsedAt   *time.Time
	Assurance                 string
}

// Finding is one thing that is set up wrongly. Paste has lines.
type Finding struct{ Code, Subject, What, Why, Paste string }

// FailedFlow is an attempt that failed.
type FailedFlow struct {
	At                           time.Time
	Connector, User, Code, Trace string
	ProviderSaid                 string
}

// ErrorPage is a page that could not be shown, or an action that was refused.
type ErrorPage struct {
	Page
	Status   int // of HTTP; not shown
	Code     string
	FlowOver bool   // the flow is over: the page says only that
	Provider string // its name, where the error is about one
	Detail   string // one more sentence, ours, never from outside

	RetryURL, RetryLabel string // the one next step, a link; "" leaves it to words
	// EndSessionURL offers to end the session this browser has (data-action
	// logout), with the hidden fields app and next. It replaces the header's.
	EndSessionURL, EndSessionNext string
	// ReturnURL leads back to the app (data-action return), which App.Name
	// names. "" hides it.
	ReturnURL string
}

// SignedOutPage follows a sign-out. With an App.Name it says from what.
type SignedOutPage struct {
	Page
	SignInURL string // "" where the app has no sign-in of its own
}
