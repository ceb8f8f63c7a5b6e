package main

import (
	"os"
	"testing"
)

// TestPublished has the published schema be that of the types.
func TestPublished(t *testing.T) {
	want, err := generate("../../pkg/apis/v1alpha1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/schema/v1alpha1.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("docs/schema/v1alpha1.json is not that of the types: run go generate ./pkg/apis/...")
	}
}
