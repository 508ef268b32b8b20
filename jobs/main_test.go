package jobs

import (
	"testing"

	"millrace/models/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
