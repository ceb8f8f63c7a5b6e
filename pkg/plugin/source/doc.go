// Package source is where policies come from: containers, saved dumps, profiles
// and filters in files, and no filter at all.
//
// An operand that needs no cluster is a [Ref]. What it refers to is read once
// ([Ref.Open]) and only then understood, on a machine ([Content.On]): the byte
// order of filters, and what a runtime makes of a profile, depend on that, and a
// file is taken to be for the machine of what it is compared with.
//
// Whatever it is, it becomes a [Source], which is all that commands look at.
// Text in it that came from a file is escaped.
package source
