package controllers

import (
	"reflect"
	"unique"
)

// intern replaces the texts in what a pointer points to by equal ones that are in memory once. A GinService has a dozen children, each
// with its name and UID in labels, selectors and owners, and the words of the API are the same in those of all GinServices.
func intern(pointers ...any) {
	for _, pointer := range pointers {
		internValue(reflect.ValueOf(pointer).Elem())
	}
}

func internValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.Len() > 0 {
			v.SetString(unique.Make(v.String()).Value())
		}
	case reflect.Pointer:
		if !v.IsNil() {
			internValue(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() { //nolint:modernize // Value.Fields would describe each field, which nobody reads, for each object
			// What can't be set is not only ours: a time has the location of all times.
			if field := v.Field(i); field.CanSet() {
				internValue(field)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			internValue(v.Index(i))
		}
	case reflect.Map:
		internMap(v)
	default: // has no text
	}
}

// internMap makes a map anew: a map that gets a key which it has keeps the old one.
func internMap(v reflect.Value) {
	if v.Len() == 0 {
		return
	}
	fresh := reflect.MakeMapWithSize(v.Type(), v.Len())
	key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
	for entries := v.MapRange(); entries.Next(); {
		key.SetIterKey(entries)
		value.SetIterValue(entries)
		internValue(key)
		internValue(value)
		fresh.SetMapIndex(key, value)
	}
	v.Set(fresh)
}
