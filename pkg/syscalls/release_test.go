package syscalls

import "testing"

func TestSince(t *testing.T) {
	for name := range since {
		if b, ok := BackgroundOf(name); ok && b.Since != "" {
			t.Errorf("%s: its background has the release, %s", name, b.Since)
		}
		found := false
		for _, abi := range ABIs() {
			_, ok := abi.Number(name)
			found = found || ok
		}
		if !found {
			t.Errorf("%s: no such call", name)
		}
	}
	for name, want := range map[string]Release{"open": {1, 0}, "clone3": {5, 3}, "statx": {4, 11}} {
		if got, ok := Since(name); !ok || got != want {
			t.Errorf("Since(%s) = %v, %v, want %v", name, got, ok, want)
		}
	}
	if r, ok := Since("frob"); ok {
		t.Errorf("Since(frob) = %v", r)
	}
}
