package store_test

import (
	"testing"

	"millrace/models/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
