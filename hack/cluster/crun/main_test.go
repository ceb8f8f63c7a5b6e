package main

import (
	"encoding/json"
	"testing"
)

func TestBundle(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"crun", "--root", "/r", "create", "--bundle", "/b", "--pid-file", "/p", "id"}, "/b"},
		{[]string{"crun", "create", "--bundle=/b", "id"}, "/b"},
		{[]string{"crun", "start", "id"}, ""},
		{[]string{"crun", "create", "--bundle"}, ""},
	} {
		if got := bundle(c.args); got != c.want {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
}

func TestWithVersion(t *testing.T) {
	const big = "18446744073709551615" // a number that a float64 would round
	b, err := withVersion([]byte(`{"ociVersion":"1.3.0","linux":{"seccomp":{"value":`+big+`}}}`), "1.0.2")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		OCIVersion string
		Linux      struct{ Seccomp struct{ Value json.Number } }
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.OCIVersion != "1.0.2" || got.Linux.Seccomp.Value != big {
		t.Errorf("%s", b)
	}
	if _, err := withVersion([]byte("[]"), "1.0.2"); err == nil {
		t.Error("what is no object was accepted")
	}
}
