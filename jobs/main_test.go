package jobs

import (
	"flag"
	"testing"

	"millrace/models/store/storetest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		f.Value.Set("4") // they mostly wait, for each other and for timers
	}
	storetest.Main(m)
}
