package main

import (
	"encoding/json"
	"os"
	"testing"
)

func TestParseRecord(t *testing.T) {
	want := Record{
		Owner: "/src/clone", BootID: "boot-1", Complete: true,
		Sysctls:   map[string]string{"kernel/panic": "0"},
		Processes: map[string]Process{"etcd": {PID: 7, Start: 99}},
	}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseRecord(b, "boot-1")
	if err != nil || got.Processes["etcd"] != want.Processes["etcd"] || got.Sysctls["kernel/panic"] != "0" || !got.Complete {
		t.Errorf("same boot: %+v, %v", got, err)
	}
	// After a reboot the IDs and the settings are the new boot's.
	got, err = parseRecord(b, "boot-2")
	if err != nil || len(got.Processes) != 0 || len(got.Sysctls) != 0 || got.Owner != want.Owner {
		t.Errorf("another boot: %+v, %v", got, err)
	}
	for _, bad := range []string{"", "{", "[]", `{"processes":{"etcd":{"pid":"x"}}}`} {
		if _, err := parseRecord([]byte(bad), "boot-1"); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestInUse(t *testing.T) {
	self, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	alive := map[string]Process{"etcd": self}
	dead := map[string]Process{"etcd": {PID: self.PID, Start: self.Start + 1}}
	for _, c := range []struct {
		name string
		r    *Record
		want bool
	}{
		{"no record", nil, false},
		{"running", &Record{Owner: t.TempDir(), Complete: true, Processes: alive}, true},
		{"killed while starting", &Record{Owner: t.TempDir(), Processes: alive}, false},
		{"all killed", &Record{Owner: t.TempDir(), Complete: true, Processes: dead}, false},
		{"clone deleted", &Record{Owner: t.TempDir() + "/gone", Complete: true, Processes: alive}, false},
	} {
		if got := c.r.inUse(); got != c.want {
			t.Errorf("%s: inUse = %v", c.name, got)
		}
	}
}
