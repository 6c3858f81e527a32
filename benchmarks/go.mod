module github.com/tributary-dev/analytics/benchmarks

go 1.25.0

require (
	github.com/amplitude/analytics-go v1.0.1
	github.com/jackc/pgx/v5 v5.13.0
	github.com/klauspost/compress v1.20.4
	github.com/ncruces/go-sqlite3 v0.35.3
	github.com/posthog/posthog-go v1.5.12
	github.com/rudderlabs/analytics-go/v4 v4.2.0
	github.com/segmentio/analytics-go/v3 v3.3.0
	github.com/segmentio/encoding v0.5.4
	github.com/stretchr/testify v1.12.1
	github.com/tributary-dev/analytics v0.0.0
	github.com/tributary-dev/analytics/warehouse/postgres v0.0.0
	github.com/tributary-dev/analytics/warehouse/sqlite v0.0.0
)

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/hashicorp/golang-lru/v2 v2.0.7 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/kr/text v0.2.0 // indirect
	github.com/ncruces/go-sqlite3-wasm/v3 v3.2.35304 // indirect
	github.com/ncruces/julianday v1.0.0 // indirect
	github.com/rogpeppe/go-internal v1.16.0 // indirect
	github.com/segmentio/asm v1.1.3 // indirect
	github.com/segmentio/backo-go v1.0.1 // indirect
	github.com/tidwall/gjson v1.14.4 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.1 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)

replace (
	github.com/tributary-dev/analytics => ../
	github.com/tributary-dev/analytics/warehouse/postgres => ../warehouse/postgres
	github.com/tributary-dev/analytics/warehouse/sqlite => ../warehouse/sqlite
)
