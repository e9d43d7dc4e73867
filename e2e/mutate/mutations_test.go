package main

import "testing"

// A mutation that no longer fits the source would stop the long run at its beginning;
// this says so with every other test.
func TestMutationsFitTheSource(t *testing.T) {
	if err := checkAll("../..", mutations); err != nil {
		t.Error(err)
	}
}
