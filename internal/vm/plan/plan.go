// Package plan is what the host and the program that is init in the virtual
// machine say to each other: a Plan goes in, Events come out.
package plan

// Path is where init finds its Plan, as JSON.
const Path = "/plan.json"

// Plan is what init does.
type Plan struct {
	// Nonce begins each line of the console that is an Event: what the kernel or
	// a test prints cannot be taken for one.
	Nonce string `json:"nonce"`
	Steps []Step `json:"steps"`
}

// Step is a program that is run to its end. Steps run one after the other,
// whatever became of those before.
type Step struct {
	Name string   `json:"name"`
	Args []string `json:"args"` // the program first
	Dir  string   `json:"dir"`
	Env  []string `json:"env,omitempty"` // besides what all have
	// Test says that the program is a Go test binary run with
	// -test.v=test2json: what became of each test is then in the Event.
	Test bool `json:"test,omitempty"`
	// Capture says that what the program writes to its standard output goes into
	// the Event and not to the console.
	Capture bool `json:"capture,omitempty"`
}

// Event is what became of a step, or, of none, the end of the Plan.
type Event struct {
	Step    int      `json:"step"`            // its index; len(Plan.Steps) at the end
	Error   string   `json:"error,omitempty"` // it could not be run
	Exit    int      `json:"exit"`            // its exit code; -1 if a signal ended it
	Seconds float64  `json:"seconds"`
	Passed  int      `json:"passed,omitempty"` // tests, subtests not counted
	Failed  []string `json:"failed,omitempty"`
	Skipped []string `json:"skipped,omitempty"` // subtests, too
	Left    []string `json:"left,omitempty"`    // processes that outlived it, with their state
	Output  []byte   `json:"output,omitempty"`  // of a step that has Capture
}
