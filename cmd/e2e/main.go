// Command e2e sends events through the library for testers that drive the SDKs of
// many languages in the same way. It has two modes.
//
// One message from flags, as Segment's library-e2e-tester calls it. What is not given
// is not sent:
//
//	e2e --writeKey=k --type=track --userId=u1 --event='Order Completed' --properties='{"revenue":39.95}'
//
// Sequences of messages from JSON, as the e2e-cli of Segment's libraries takes them;
// "-" reads it from standard input:
//
//	e2e --input '{"writeKey":"k","apiHost":"http://localhost:8080",
//	  "sequences":[{"delayMs":0,"events":[{"type":"track","userId":"u1","event":"Order Completed"}]}],
//	  "config":{"flushAt":20,"flushInterval":500,"maxRetries":3,"timeout":10}}'
//
// The endpoint is apiHost, else --endpoint, else SEGMENT_ENDPOINT, else Segment.
//
// Both modes print one line of JSON, {"success":true,"sentBatches":1}, with "error" where
// something went wrong, and exit with 0 when every message was delivered, with 1 when
// one was not, and with 2 when the command was called wrongly.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
)

func main() {
	c := command{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.Getenv}
	os.Exit(c.run(os.Args[1:]))
}

// command is what the program is given from outside.
type command struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string
	transport      http.RoundTripper // nil: the network
}

// Exit codes.
const (
	exitDelivered = iota
	exitFailed
	exitUsage
)

// report is the line that is printed at the end.
type report struct {
	Success     bool   `json:"success"`
	SentBatches int    `json:"sentBatches"` // requests that the endpoint took
	Error       string `json:"error,omitempty"`
}

// errUsage marks what is wrong with the call of the command.
var errUsage = errors.New("usage")

func (c *command) run(args []string) int {
	in, err := c.read(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDelivered
	case err != nil:
		c.print(report{Error: err.Error()})
		if errors.Is(err, errUsage) {
			return exitUsage
		}
		return exitFailed
	}
	r := c.send(in)
	c.print(r)
	if !r.Success {
		return exitFailed
	}
	return exitDelivered
}

func (c *command) print(r report) {
	enc := json.NewEncoder(c.stdout)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		fmt.Fprintln(c.stderr, "e2e:", err)
	}
}

// The flags that make up a message. Their names are the keys of its JSON.
var (
	stringFlags = []string{"type", "userId", "anonymousId", "event", "name", "groupId", "previousId"}
	objectFlags = []string{"properties", "traits", "context", "integrations"}
)

// read turns the flags into an input, whichever mode they ask for.
func (c *command) read(args []string) (input, error) {
	flags := flag.NewFlagSet("e2e", flag.ContinueOnError)
	flags.SetOutput(c.stderr)
	writeKey := flags.String("writeKey", "", "write key of the source")
	endpoint := flags.String("endpoint", c.env("SEGMENT_ENDPOINT"), "where to send to (default $SEGMENT_ENDPOINT, else Segment)")
	text := flags.String("input", "", `JSON with writeKey, apiHost, sequences and config; "-" reads standard input`)
	for _, name := range stringFlags {
		flags.String(name, "", name+" of the message")
	}
	for _, name := range objectFlags {
		flags.String(name, "", name+" of the message, a JSON object")
	}
	if err := flags.Parse(args); err != nil {
		return input{}, fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return input{}, fmt.Errorf("%w: unexpected argument %q", errUsage, flags.Arg(0))
	}

	message, err := given(flags)
	if err != nil {
		return input{}, err
	}
	var in input
	switch {
	case *text != "" && len(message) > 0:
		return input{}, fmt.Errorf("%w: --input excludes the flags of a message", errUsage)
	case *text != "":
		if in, err = c.parse(*text); err != nil {
			return input{}, err
		}
	case len(message) > 0:
		event, err := json.Marshal(message)
		if err != nil {
			return input{}, err
		}
		in.Sequences = []sequence{{Events: []json.RawMessage{event}}}
	default:
		flags.Usage()
		return input{}, fmt.Errorf("%w: give --input, or --type and the other flags of a message", errUsage)
	}
	if in.WriteKey == "" {
		in.WriteKey = *writeKey
	}
	if in.APIHost == "" {
		in.APIHost = *endpoint
	}
	return in, nil
}

// given is the message of the flags that were set, by key. A flag without a value was
// not set: scripts have --name="$name".
func given(flags *flag.FlagSet) (map[string]any, error) {
	message := make(map[string]any)
	var errs []error
	flags.Visit(func(f *flag.Flag) {
		switch {
		case f.Value.String() == "":
		case slices.Contains(stringFlags, f.Name):
			message[f.Name] = f.Value.String()
		case slices.Contains(objectFlags, f.Name):
			raw := json.RawMessage(f.Value.String())
			var object map[string]json.RawMessage
			if err := json.Unmarshal(raw, &object); err != nil || object == nil {
				errs = append(errs, fmt.Errorf("%w: --%s is not a JSON object", errUsage, f.Name))
			}
			message[f.Name] = raw
		}
	})
	return message, errors.Join(errs...)
}
