package events

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"patchbay/connect"
)

// Metrics counts events for Prometheus. A label is an app, a connector, a code or a
// class; never a user.
type Metrics struct {
	registry   *prometheus.Registry
	flows      *prometheus.CounterVec
	refreshes  *prometheus.CounterVec
	recoveries *prometheus.CounterVec
	reads      *prometheus.CounterVec
	refused    *prometheus.CounterVec
	calls      *prometheus.CounterVec
	ended      *prometheus.CounterVec
	security   *prometheus.CounterVec
	spooled    prometheus.Counter
	restored   prometheus.Counter
	deliveries *prometheus.CounterVec
}

// Sources are what the metrics ask when they are read.
type Sources struct {
	OldestDue         func() time.Duration
	Healths           func(context.Context) ([]connect.Health, error)
	WaitingDeliveries func(context.Context) (int, error)
	AuditDropped      func() int64
}

// NewMetrics makes the metrics of one process.
func NewMetrics(from Sources) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "patchbay", Name: name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	m.flows = counter("flows_total", "Flows that ended, by the code that they ended with.", "app", "connector", "code")
	m.refreshes = counter("refreshes_total", "Refreshes, by class: ok, or what went wrong.", "app", "connector", "class")
	m.recoveries = counter("refresh_recoveries_total", "Refresh tokens that were sent again because what became of them was not known.", "app", "connector")
	m.reads = counter("token_reads_total", "Tokens that were handed out.", "app", "connector")
	m.refused = counter("token_reads_failed_total", "Reads of tokens that failed, by code.", "app", "connector", "code")
	m.calls = counter("api_calls_total", "Calls of providers' APIs for a builder.", "app", "connector")
	m.ended = counter("connections_ended_total", "Connections that ended or need their user again.", "app", "connector", "how")
	m.security = counter("security_events_total", "What smells of an attack.", "kind")
	m.deliveries = counter("webhook_deliveries_total", "Tries to deliver to webhooks, by outcome.", "app", "outcome")
	plain := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "patchbay", Name: name, Help: help})
		m.registry.MustRegister(c)
		return c
	}
	m.spooled = plain("refreshes_spooled_total", "Answers of providers that the database could not take at once.")
	m.restored = plain("restored_total", "How often the database was found to be an old copy.")
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "patchbay", Name: "oldest_due_refresh_seconds",
			Help: "How long the oldest refresh has been due."}, func() float64 { return from.OldestDue().Seconds() }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "patchbay", Name: "audit_dropped_total",
			Help: "Entries of the audit that were lost because the database was away for too long."}, func() float64 { return float64(from.AuditDropped()) }),
		stored{from},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Handler answers with the metrics.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	return mux
}

// Take is a reader of events.
func (m *Metrics) Take(_ context.Context, e connect.Event) {
	switch e.Kind {
	case connect.EventTokenRead:
		m.reads.WithLabelValues(e.App, e.Connector).Inc()
	case connect.EventTokenRefused:
		m.refused.WithLabelValues(e.App, e.Connector, e.Data["code"]).Inc()
	case connect.EventFlowFinished:
		m.flows.WithLabelValues(e.App, e.Connector, e.Data["code"]).Inc()
	case connect.EventTokenRefreshed:
		m.refreshes.WithLabelValues(e.App, e.Connector, "ok").Inc()
	case connect.EventRefreshFailed:
		m.refreshes.WithLabelValues(e.App, e.Connector, e.Data["class"]).Inc()
	case connect.EventRefreshRecovered:
		m.recoveries.WithLabelValues(e.App, e.Connector).Inc()
	case connect.EventAPICalled:
		m.calls.WithLabelValues(e.App, e.Connector).Inc()
	case connect.EventReconnectRequired:
		m.refreshes.WithLabelValues(e.App, e.Connector, "reconnect_required").Inc()
		m.ended.WithLabelValues(e.App, e.Connector, e.Data["reason"]).Inc()
	case connect.EventDisconnected:
		m.ended.WithLabelValues(e.App, e.Connector, "disconnected").Inc()
	case connect.EventNotMe, connect.EventCallbackRefused, connect.EventConfirmRefused, connect.EventCredentialsRefused:
		m.security.WithLabelValues(string(e.Kind)).Inc()
	case connect.EventSpooled:
		m.spooled.Inc()
	case connect.EventRestored:
		m.restored.Inc()
	}
}

// Delivered counts a try to deliver to a webhook.
func (m *Metrics) Delivered(app, outcome string) { m.deliveries.WithLabelValues(app, outcome).Inc() }

// stored collects what stands in the database.
type stored struct{ from Sources }

var (
	closedDesc = prometheus.NewDesc("patchbay_connector_closed", "1 while no refresh is sent for a connector, by cause.", []string{"app", "connector", "cause"}, nil)
	brakedDesc = prometheus.NewDesc("patchbay_connector_braked", "1 while a provider is not believed that grants are dead.", []string{"app", "connector"}, nil)
	waitDesc   = prometheus.NewDesc("patchbay_webhook_waiting", "Messages for webhooks that have not arrived yet.", nil, nil)
)

// Describe implements prometheus.Collector.
func (s stored) Describe(out chan<- *prometheus.Desc) {
	out <- closedDesc
	out <- brakedDesc
	out <- waitDesc
}

// Collect implements prometheus.Collector.
func (s stored) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	healths, err := s.from.Healths(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(closedDesc, err)
	}
	for _, h := range healths {
		if h.Cause != "" {
			out <- prometheus.MustNewConstMetric(closedDesc, prometheus.GaugeValue, 1, h.App, h.Connector, h.Cause)
		}
		braked := 0.0
		if !h.BrakedAt.IsZero() {
			braked = 1
		}
		out <- prometheus.MustNewConstMetric(brakedDesc, prometheus.GaugeValue, braked, h.App, h.Connector)
	}
	n, err := s.from.WaitingDeliveries(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(waitDesc, err)
		return
	}
	out <- prometheus.MustNewConstMetric(waitDesc, prometheus.GaugeValue, float64(n))
}
