package settings

// serverTable is the controller manager's and the scheduler's, whose servers are alike: for health checks, metrics and
// profiles, on loopback.
func serverTable(group, name string, profiling, bindAddress string) []Setting {
	return []Setting{
		{
			Name:        group + ".profiling",
			Meaning:     "Whether the " + name + " serves profiles of itself at `/debug/pprof/`, by `--profiling`.",
			Protects:    toMetrics,
			TakesEffect: replaces,
			Flag:        "profiling",
			Form:        Switch,
			CIS:         []string{profiling},
			Baseline:    Value{"false"},
		},
		{
			Name: group + ".bind_address",
			Meaning: "The address at which the " + name + " answers health checks and serves metrics, by `--bind-address`. " +
				"Kubernetes' own probes ask at `127.0.0.1`, which any other address but `0.0.0.0` and `::` shuts out.",
			Protects:    toMetrics,
			TakesEffect: replaces,
			Flag:        "bind-address",
			Form:        Text,
			CIS:         []string{bindAddress},
			Baseline:    Value{"127.0.0.1"},
			check:       oneOf("127.0.0.1", "0.0.0.0", "::"),
		},
		{
			Name: group + ".tls_min_version",
			Meaning: "The oldest version of TLS that the " + name + " accepts, `VersionTLS12` or `VersionTLS13`, by " +
				"`--tls-min-version`.",
			Protects:    toMetrics,
			TakesEffect: replaces,
			Flag:        "tls-min-version",
			Form:        Text,
			Restricted:  Value{tls13},
			check:       oneOf(tls12, tls13),
		},
		{
			Name: group + ".tls_cipher_suites",
			Meaning: "The cipher suites that the " + name + " accepts with TLS 1.2, by `--tls-cipher-suites`. The rules are " +
				"those of `apiserver.tls_cipher_suites`.",
			Protects:    toMetrics,
			TakesEffect: replaces,
			Flag:        "tls-cipher-suites",
			Form:        Texts,
			check:       checkCipherSuites,
		},
	}
}

func controllerManagerTable() []Setting {
	return serverTable("controller_manager", "controller manager", "1.3.2", "1.3.7")
}

func schedulerTable() []Setting { return serverTable("scheduler", "scheduler", "1.4.1", "1.4.2") }

// etcdTable has nothing that profiles say: a stock etcd is as they would have it but for its TLS floor, and on a single
// control plane to change that costs more than it is worth to who didn't ask for it.
func etcdTable() []Setting {
	return []Setting{
		{
			Name: "etcd.profiling",
			Meaning: "Whether etcd serves profiles of itself at `/debug/pprof/`, to clients with a certificate, by " +
				"`--enable-pprof`. Without the flag it doesn't, but with `--log-level=debug` it always does. So no profile says " +
				"anything of it.",
			Protects:    toEtcd,
			TakesEffect: replaces,
			Flag:        "enable-pprof",
			Form:        Switch,
		},
		{
			Name: "etcd.listen_metrics_urls",
			Meaning: "Where etcd answers health checks and serves metrics beside its port for clients, by " +
				"`--listen-metrics-urls`. kubeadm has `http://127.0.0.1:2381`, where Kubernetes' own probes ask. It must be among " +
				"them, or `0.0.0.0` or `[::]` in its place, and on an IPv6 cluster `http://[::1]:2381` before it. At one with " +
				"`http`, etcd asks for no certificate. No profile says anything of it, because what it should be is another thing " +
				"on IPv6 clusters.",
			Protects:    toMetrics,
			TakesEffect: replaces,
			Flag:        "listen-metrics-urls",
			Form:        Texts,
			check:       checkMetricsURLs,
		},
		{
			Name: "etcd.tls_min_version",
			Meaning: "The oldest version of TLS that etcd accepts, `TLS1.2` or `TLS1.3`, by `--tls-min-version`. Where there is " +
				"one control plane only, the API can't write while its etcd is replaced, for which reason no profile says " +
				"anything of it; apiservers and other etcds speak TLS 1.3 with it anyway.",
			Protects:    toEtcd,
			TakesEffect: replaces,
			Flag:        "tls-min-version",
			Form:        Text,
			check:       oneOf("TLS1.2", "TLS1.3"),
		},
	}
}
