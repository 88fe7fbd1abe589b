package settings

import (
	"crypto/tls"
	"slices"
	"strconv"
)

// curves are the key exchange mechanisms that Kubernetes takes where it is built with Go 1.26 (crypto/tls, CurveID;
// Kubernetes v1.37.1, staging/src/k8s.io/component-base/cli/flag/curves_flag.go).
func curves() []tls.CurveID {
	return []tls.CurveID{
		tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024, tls.X25519, tls.CurveP256, tls.CurveP384,
		tls.CurveP521,
	}
}

// curveNamesKnown lists what users write.
func curveNamesKnown() []string {
	var names []string
	for _, curve := range curves() {
		names = append(names, curve.String())
	}
	return names
}

// curveNumbers turns names into what flags and fields hold. What isn't known stays.
func curveNumbers(names []string) []string {
	found := slices.Clone(names)
	for i, name := range names {
		for _, curve := range curves() {
			if curve.String() == name {
				found[i] = strconv.Itoa(int(curve))
			}
		}
	}
	return found
}

// curveNames is the reverse of curveNumbers.
func curveNames(numbers []string) Value {
	found := slices.Clone(numbers)
	for i, number := range numbers {
		for _, curve := range curves() {
			if strconv.Itoa(int(curve)) == number {
				found[i] = curve.String()
			}
		}
	}
	return found
}
