package celeriac

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// iso is ISO 8601 as the harness writes it; time.Parse takes a fraction that the layout does not have.
const iso = "2006-01-02T15:04:05Z07:00"

// names are all tags of the wire, each with what makes a Go value of its payload; nil leaves it Tagged.
var names = map[string]func(payload any) (any, error){
	"bytes":     fromBase64,
	"datetime":  fromMoment,
	"date":      nil,
	"time":      nil,
	"timedelta": fromParts,
	"decimal":   nil,
	"uuid":      nil,
	"float":     fromFloat,
	"complex":   fromComplex,
	"tuple":     func(payload any) (any, error) { items, err := into[[]any](payload); return Tuple(items), err },
	"set":       func(payload any) (any, error) { items, err := into[[]any](payload); return Set(items), err },
	"signature": func(payload any) (any, error) { return into[Signature](payload) },
	"error":     nil,
	"exchange":  nil,
	"queue":     nil,
	"router":    nil,
	"opaque":    func(payload any) (any, error) { return into[Opaque](payload) },
	"map":       fromPairs,
}

// FromJSON answers the Go value of a JSON value that was decoded with its numbers as they are written. Integers
// become int64, or *big.Int where they do not fit; other numbers become float64. Half a surrogate pair becomes the
// replacement character, as everywhere in Go.
func FromJSON(value any) (any, error) {
	switch value := value.(type) {
	case json.Number:
		return fromNumber(value)
	case []any:
		return each(value)
	case map[string]any:
		if _, tagged := value["$"]; tagged {
			return fromTag(value)
		}
		items := make(map[string]any, len(value))
		for key, item := range value {
			var err error
			if items[key], err = FromJSON(item); err != nil {
				return nil, err
			}
		}
		return items, nil
	}
	return value, nil
}

func each(items []any) (any, error) {
	values := make([]any, len(items))
	for i, item := range items {
		var err error
		if values[i], err = FromJSON(item); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func fromNumber(given json.Number) (any, error) {
	if strings.ContainsAny(given.String(), ".eE") {
		return given.Float64()
	}
	if whole, err := given.Int64(); err == nil {
		return whole, nil
	}
	whole, _ := new(big.Int).SetString(given.String(), 10)
	return whole, nil
}

func fromTag(given map[string]any) (any, error) {
	name, _ := given["$"].(string)
	read, known := names[name]
	if _, there := given["v"]; !known || !there || len(given) != 2 {
		return nil, fmt.Errorf("no tagged value: %.200v", given)
	}
	payload, err := FromJSON(given["v"])
	if err != nil || read == nil {
		return Tagged{name, payload}, err
	}
	value, err := read(payload)
	if err != nil {
		return nil, fmt.Errorf("cannot read the tagged value %.200v: %w", given, err)
	}
	return value, nil
}

// into answers a payload as a Go value of some type.
func into[Value any](payload any) (value Value, err error) {
	err = fill(reflect.ValueOf(&value).Elem(), payload)
	return value, err
}

func fromBase64(payload any) (any, error) {
	encoded, err := into[string](payload)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(encoded)
}

func fromMoment(payload any) (any, error) {
	written, err := into[string](payload)
	if err != nil {
		return nil, err
	}
	if moment, err := time.Parse(iso, written); err == nil {
		return moment, nil
	}
	return Tagged{"datetime", written}, nil
}

func fromParts(payload any) (any, error) {
	given, err := into[[]int64](payload)
	if err != nil || len(given) != 3 {
		return nil, fmt.Errorf("expected days, seconds and microseconds: %v", payload)
	}
	if days := given[0]; days <= -106751 || days >= 106751 { // what a time.Duration holds is 292 years
		return Tagged{"timedelta", payload}, nil
	}
	days, seconds := time.Duration(given[0])*24*time.Hour, time.Duration(given[1])*time.Second
	return days + seconds + time.Duration(given[2])*time.Microsecond, nil
}

func fromFloat(payload any) (any, error) {
	written, err := into[string](payload)
	if err != nil {
		return nil, err
	}
	return strconv.ParseFloat(written, 64)
}

func fromComplex(payload any) (any, error) {
	given, err := into[[]float64](payload)
	if err != nil || len(given) != 2 {
		return nil, fmt.Errorf("expected a real and an imaginary part: %v", payload)
	}
	return complex(given[0], given[1]), nil
}

func fromPairs(payload any) (any, error) {
	given, err := into[[][]any](payload)
	all := make(Map, 0, len(given))
	for _, pair := range given {
		if len(pair) != 2 {
			return nil, fmt.Errorf("expected a key and a value: %v", pair)
		}
		all = append(all, [2]any{pair[0], pair[1]})
	}
	return all, err
}
