package v1alpha1

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestDeepCopyObject(t *testing.T) {
	for _, in := range []runtime.Object{&Dump{}, &DumpList{}, &Diff{}, &Explanation{}, &Version{}, &Cleanup{}, &Verification{}, &ConfinementList{}, &Diagnosis{}, &Recording{}, &RecordingList{}, &Denial{}, &DenialList{}, &Tightening{}} {
		fill(reflect.ValueOf(in).Elem())
		out := in.DeepCopyObject()
		if diff := cmp.Diff(in, out); diff != "" {
			t.Errorf("%T: the copy differs (-original +copy):\n%s", in, diff)
		}
		memory := make(map[uintptr]bool)
		visit(reflect.ValueOf(in), func(p uintptr, _ reflect.Type) { memory[p] = true })
		visit(reflect.ValueOf(out), func(p uintptr, typ reflect.Type) {
			if memory[p] {
				t.Errorf("%T: the copy shares a %v with the original", in, typ)
			}
		})
	}
}

// fill sets everything in v to something other than zero.
func fill(v reflect.Value) {
	switch t := v.Addr().Interface().(type) {
	case *metav1.Time:
		t.Time = time.Unix(7, 0)
		return
	case *metav1.MicroTime:
		t.Time = time.Unix(7, 0)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8, reflect.Uint16:
		v.SetUint(7)
	default:
		panic(v.Type().String())
	}
}

// visit calls f with the address behind every pointer and slice in v.
func visit(v reflect.Value, f func(uintptr, reflect.Type)) {
	if typ := v.Type(); typ == reflect.TypeFor[metav1.Time]() || typ == reflect.TypeFor[metav1.MicroTime]() {
		return // a value, for all that points to its time zone
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			visit(v.Field(i), f)
		}
	case reflect.Slice:
		f(v.Pointer(), v.Type())
		for i := range v.Len() {
			visit(v.Index(i), f)
		}
	case reflect.Pointer:
		f(v.Pointer(), v.Type())
		visit(v.Elem(), f)
	}
}
