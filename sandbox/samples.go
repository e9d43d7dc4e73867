package sandbox

// sample is one pretend thing in an account.
type sample struct{ title, detail string }

var (
	meetingSamples = []sample{
		{"Design review", "Room Birch"},
		{"Coffee with the new colleagues", "Kitchen"},
		{"Quarterly planning", "Room Larch"},
		{"Call with the bakery", "Phone"},
		{"Release retrospective", "Room Birch"},
		{"Dentist", "Harbour Street 4"},
		{"Choir rehearsal", "Town hall"},
		{"Budget questions", "Room Willow"},
	}
	repoSamples = []sample{
		{"garden-planner", "When to sow what, from frost dates"},
		{"tide-clock", "A small clock that follows the tides"},
		{"dotfiles", "My shell, my editor, my rules"},
		{"recipe-box", "Recipes as plain text, with a reader"},
		{"bus-board", "Departures of the two nearest stops"},
		{"paper-maze", "Printable mazes for long train rides"},
	}
	channelSamples = []sample{
		{"general", "News for everybody"},
		{"random", "Everything else"},
		{"lunch", "Who goes where at noon"},
		{"releases", "What went out and when"},
		{"help-desk", "Ask here first"},
		{"plants", "Who waters them this week"},
	}
	itemSamples = []sample{
		{"Welcome letter", "Draft, two pages"},
		{"Travel expenses", "Waiting for receipts"},
		{"Floor plan", "Second version"},
		{"Reading list", "Eleven entries"},
		{"Inventory", "Counted last week"},
	}
)

// pick chooses n samples that depend on the account, in a fixed order.
func pick(account string, n int, from []sample) []sample {
	n = min(n, len(from))
	first := int(who(account).number("pick") % int64(len(from)))
	out := make([]sample, 0, n)
	for i := range n {
		out = append(out, from[(first+i)%len(from)])
	}
	return out
}
