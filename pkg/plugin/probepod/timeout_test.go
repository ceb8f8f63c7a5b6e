package probepod

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"
)

// hang answers nothing, or not to the end, for as long as a client waits.
func hang(begin string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if begin != "" {
			io.WriteString(w, begin)
			w.(http.Flusher).Flush()
		}
		io.Copy(io.Discard, r.Body) // before it is, nobody looks whether the client has gone
		<-r.Context().Done()
		return true
	}
}

// TestRequestTimeout has an API server that does not answer, or stops in the middle: a
// request ends by config's timeout, and not by the time that a run or a cleanup has.
func TestRequestTimeout(t *testing.T) {
	const limit = 200 * time.Millisecond
	for name, begin := range map[string]string{"no answer": "", "half an answer": `{"kind": "PodList", "items": [`} {
		t.Run(name, func(t *testing.T) {
			defer within(t, 8*time.Second)() // less than any other timeout
			s := newAPIServer(t)
			s.onList = hang(begin)
			config := s.config()
			config.Timeout = limit
			if _, err := Cleanup(t.Context(), config, CleanupOptions{Namespace: DefaultNamespace}); !errors.Is(err, errSlow) {
				t.Errorf("cleanup: %v", err)
			}

			s = newAPIServer(t)
			s.onCreate = hang(begin)
			config = s.config()
			config.Timeout = limit
			client, err := NewClient(config)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Run(t.Context(), client, Options{}, requestsFor(web), io.Discard); !errors.Is(err, errSlow) {
				t.Errorf("run: %v", err)
			}
		})
	}
}

// TestRequestTimeoutOfStreams has a log that begins at once and ends late: that is the
// probe's time, and no request's.
func TestRequestTimeoutOfStreams(t *testing.T) {
	const limit = 200 * time.Millisecond
	s := newAPIServer(t)
	s.addWeb(nil)
	asked := 0
	s.onLog = func(w http.ResponseWriter, r *http.Request) bool {
		asked++
		text := s.output()
		io.WriteString(w, text[:len(text)/2])
		w.(http.Flusher).Flush()
		select {
		case <-time.After(3 * limit): // what the probe takes
		case <-r.Context().Done():
			t.Error("the log was cut off")
		}
		io.WriteString(w, text[len(text)/2:])
		return true
	}
	config := s.config()
	config.Timeout = limit
	client, err := NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	reports, err := Run(t.Context(), client, Options{}, requestsFor(web), io.Discard)
	if err != nil || reports["node-a"] == nil || asked != 1 {
		t.Errorf("%v, %v after %d requests for the log", reports, err, asked)
	}
}
