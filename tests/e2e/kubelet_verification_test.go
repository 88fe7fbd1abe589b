package e2e

import "testing"

// The hole, how it is closed, that it stays closed, and the way back.
func TestTheApiserverVerifiesKubelets(t *testing.T) {
	needCluster(t)
	testenv.Test(t,
		stockClusterTrustsAnyKubelet(),
		hardenedClusterTrustsItsOwnKubeletsAlone(),
		agedCertificatesAreRenewed(),
		rotationEndsNoLogOrExec(),
		kubeletsRestartWithATLSFloorWhileTheirPodsGoOn(),
		restoredClusterIsAsItWas(),
	)
}
