package xmlrpc

import (
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

var errSyntax = errors.New("it cannot be read")

func scalar(name, text string) (any, error) {
	switch name {
	case "nil":
		if text != "" {
			return nil, errSyntax
		}
		return nil, nil
	case "boolean":
		if text != "0" && text != "1" {
			return nil, errSyntax
		}
		return text == "1", nil
	case "int", "i1", "i2", "i4", "i8":
		return strconv.ParseInt(text, 10, 64)
	case "double":
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, errSyntax
		}
		return v, nil
	case "base64":
		// Python breaks lines, which the decoder passes over.
		return base64.StdEncoding.DecodeString(text)
	case "dateTime.iso8601":
		return parseTime(text)
	}
	return nil, errors.New("there is no such type")
}

func parseTime(text string) (time.Time, error) {
	text = strings.TrimSuffix(text, "Z")
	for _, layout := range []string{dateTime, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errSyntax
}
