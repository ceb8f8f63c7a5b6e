package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const id = "175126a3b0d9aad9ce0a78d0504c0787f2a325e1828c83eed7f82d57120bf4fa"

// description is what Docker 20.10 answers, as far as it matters here and some more.
const description = `{"Id":"` + id + `","Created":"2026-11-24T12:33:33.266102227Z","Path":"/workload","Args":["sleep"],
 "State":{"Status":"running","Running":true,"Paused":false,"Pid":816,"ExitCode":0,"Error":""},
 "Image":"sha256:322844800fd74bd9d3d84789c1342468ff5bc1dfe0c4c792d7591b7dd516d1ef","Name":"/web-a","Driver":"vfs",
 "HostConfig":{"NetworkMode":"none"},"Config":{"Hostname":"175126a3b0d9","Image":"workload:1"}}`

// serve answers requests at a socket, whose path it returns.
func serve(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handle}
	done := make(chan struct{})
	go func() {
		server.Serve(listener)
		close(done)
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return socket
}

func web(t *testing.T) Operand {
	t.Helper()
	o, _, err := Parse("docker:web-a")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestDocker(t *testing.T) {
	var asked []string
	socket := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.RequestURI)
		fmt.Fprint(w, description)
	})
	t.Setenv(hostVariable, "unix://"+socket)
	got, err := web(t).Find(context.Background())
	want := Target{ID: "docker://" + id, ContainerID: "docker://" + id, Image: "workload:1"}
	if err != nil || got != want {
		t.Errorf("found %+v, %v; want %+v", got, err, want)
	}
	if len(asked) != 1 || asked[0] != "GET /containers/web-a/json" {
		t.Errorf("asked %q", asked)
	}
}

// TestDockerErrors has every answer that is none, each told in one line.
func TestDockerErrors(t *testing.T) {
	answer := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, text)
		}
	}
	for _, c := range []struct {
		name string
		http.HandlerFunc
		kind error
		want string
	}{
		{"none of the name", answer(404, `{"message":"No such container: web-a"}`), ErrNotFound, "^find docker:web-a: No such container: web-a; `docker ps` lists"},
		{"an ID's beginning of two", answer(400, `{"message":"multiple IDs found with provided prefix: 17"}`), ErrDocker, "^find docker:web-a: multiple IDs found"},
		{"Docker's own trouble", answer(500, `{"message":"\u001b[2Jboom\nbang"}`), ErrDocker, `^find docker:web-a: \\x1b\[2Jboom; bang$`},
		{"no words", answer(503, ""), ErrDocker, "^find docker:web-a: Docker answers with status 503$"},
		{"no JSON of trouble", answer(502, "<html>"), ErrDocker, "^find docker:web-a: <html>$"},
		{"not running", answer(200, strings.Replace(description, `"running","Running":true`, `"exited","Running":false`, 1)), ErrNotRunning, `^find docker:web-a: it does not run \(exited\); .docker start web-a. starts it$`},
		{"something else", answer(200, "[]"), ErrDocker, "the answer is not a container's description: json:"},
		{"cut off", answer(200, description[:len(description)-4]), ErrDocker, "the answer is not a container's description: unexpected end"},
		{"no ID", answer(200, `{"Id":"../../etc","State":{"Running":true}}`), ErrDocker, `the answer has "../../etc" for its ID; see whether it is Docker`},
		{"a redirection", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://192.0.2.1/", 302) }, ErrDocker, "^find docker:web-a: <a href"},
		{"no end", func(w http.ResponseWriter, _ *http.Request) {
			for block := bytes.Repeat([]byte(" "), 1<<16); ; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, ErrDocker, "the answer has more than 4194304 bytes"},
		{"no HTTP", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			fmt.Fprint(conn, "SSH-2.0-OpenSSH\r\n")
			conn.Close()
		}, ErrDocker, "ask Docker at .*: .*malformed HTTP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(hostVariable, "unix://"+serve(t, c.HandlerFunc))
			got, err := web(t).Find(context.Background())
			checkError(t, got, err, c.kind, c.want)
		})
	}
}

func checkError(t *testing.T, got Target, err, kind error, want string) {
	t.Helper()
	if !errors.Is(err, kind) || !regexp.MustCompile(want).MatchString(err.Error()) {
		t.Errorf("error is %q, want %s of kind %q", err, want, kind)
	}
	if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") || got != (Target{}) {
		t.Errorf("found %+v, %q", got, err)
	}
}

// TestDockerAbsent has nobody who answers.
func TestDockerAbsent(t *testing.T) {
	dir := t.TempDir()
	deaf, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "deaf"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	deaf.SetUnlinkOnClose(false)
	deaf.Close()
	for host, want := range map[string]string{
		"unix://" + dir + "/none": `^find docker:web-a: ask Docker at .*/none: .*no such file or directory; see whether Docker runs; if its socket is elsewhere, say so with DOCKER_HOST=unix://PATH$`,
		"unix://" + dir + "/deaf": `/deaf: .*connection refused; see whether Docker runs`,
		"tcp://192.0.2.1:2375":    `^find docker:web-a: DOCKER_HOST is "tcp://192.0.2.1:2375", which is no socket of this machine; only containers of this machine`,
		"ssh://me@there":          `DOCKER_HOST is "ssh://me@there"`,
		"unix://":                 `DOCKER_HOST is "unix://"`,
	} {
		t.Setenv(hostVariable, host)
		got, err := web(t).Find(context.Background())
		checkError(t, got, err, ErrDocker, want)
	}
}

// TestDockerSilent has an answer that does not come.
func TestDockerSilent(t *testing.T) {
	socket := serve(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	e := &engine{"unix://" + socket, 50 * time.Millisecond}
	got, err := e.find(context.Background(), web(t))
	checkError(t, got, err, ErrDocker, "ask Docker at .*: it does not answer; see `docker info`$")
}

// FuzzDescribed has any answer: there is an error of one line, or a target with a
// container's ID.
func FuzzDescribed(f *testing.F) {
	f.Add([]byte(description))
	f.Add([]byte(`{"Id":"` + strings.Repeat("0", 64) + `","State":{"Running":true}}`))
	f.Add([]byte(`{"State":{"Running":false,"Status":"\n"}}`))
	full := regexp.MustCompile(`^docker://[0-9a-f]{64}$`)
	f.Fuzz(func(t *testing.T, answer []byte) {
		got, err := described("find docker:web", Operand{Docker: "web"}, "/s", answer)
		if (err == nil) != full.MatchString(got.ID) || err != nil && (strings.ContainsAny(err.Error(), "\n\r\x1b") || len(err.Error()) > 4096) {
			t.Errorf("found %+v, %v", got, err)
		}
	})
}
