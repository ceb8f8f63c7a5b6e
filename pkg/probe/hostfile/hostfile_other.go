//go:build !linux

package hostfile

import "errors"

// ReadBelow is for Linux only.
func ReadBelow(string, int64, ...string) (File, error) { return File{}, errors.ErrUnsupported }

// ReadIn is for Linux only.
func ReadIn(string, string, int64) (File, error) { return File{}, errors.ErrUnsupported }

// NamesIn is for Linux only.
func NamesIn(string, string) ([]string, error) { return nil, errors.ErrUnsupported }
