package main

import "github.com/kubecomm/terraform-provider-kubecomm/internal/settings"

// test is a Go test, by the folder that it is found in.
type test struct{ Folder, Name string }

// The tests of all settings that become a flag, a field or a part of a file.
var (
	// trial has values of its own for each setting.
	trial = test{"provider", "TestAccEverySettingIsAppliedRepairedAndReverted"}
	// files has all settings that become files.
	files = test{"provider", "TestAccFilesOfApiserversAndKubeletsAreAppliedRepairedAndReverted"}
	// live goes through the behavioural pairs.
	live = test{"tests/e2e/behaviour", "TestEachSettingChangesWhatItSays"}
)

// The tests of how a tunnel runs.
var (
	plansTunnel   = test{"internal/apply", "TestATunnelIsThereBeforeApiserversAreToldOfItAndGoesAfterTheyHaveForgotten"}
	tunnels       = test{"tests/e2e/tunnel", "TestApiserversReachNodesThroughTheTunnelAlone"}
	repairsTunnel = test{"provider", "TestAccATunnelIsAppliedRepairedAndTakenAway"}
	repairsSSH    = test{"provider", "TestAccAnSSHTunnelIsAppliedRepairedAndTakenAway"}
	exchangesKeys = test{"internal/apply", "TestKeysAreExchangedWithoutAMomentInWhichOneEndRefusesTheOther"}
	countsLeases  = test{"tests/e2e/tunnel", "TestAgentsMeetEveryServerOfSeveralControlPlanes"}
	routesTunnel  = test{"internal/tunnel/konnectivity", "TestTrafficForPodsLeavesAControlPlaneByItsOwnAgentOnlyWhereThereIsNoOther"}
)

// others are the tests of settings that become neither, and of those that need one of their own.
var others = map[string][]test{
	settings.NameVerifyKubelets:             {hardens, verifies},
	settings.NameServingSource:              {hardens, verifies, requests},
	"kubelet.serving_certificates.validity": {hardens, verifies},
	settings.NameOwnCA:                      {owns, refusesOwn, keeps},
	settings.NameOwnCAKey:                   {owns, refusesOwn, keeps},
	settings.NameProvided:                   {owns, refusesOwn},
	settings.NameProvidedKey:                {owns, refusesOwn},
	settings.NameKubeletCAs:                 {files, verifies},
	settings.NameRotation:                   {hardens, verifies},
	"kubelet.max_parallel_restarts":         {{"provider", "TestADeclarationBecomesFlagsAndFields"}},
	settings.NameKubeletClient:              {narrows},
	settings.NameKubeletClientRole:          {narrows},
	settings.NameTunnelMode:                 {repairsTunnel, repairsSSH, tunnels},
	settings.NameServerImage:                {plansTunnel, repairsTunnel},
	settings.NameAgentImage:                 {plansTunnel, repairsTunnel},
	settings.NameImageArchives:              {plansTunnel, tunnels},
	settings.NameKeepalive:                  {repairsTunnel},
	settings.NameAgentIdentifiers:           {routesTunnel},
	settings.NameServerCount:                {plansTunnel, repairsTunnel, countsLeases},
	settings.NameSSHPort:                    {repairsSSH, tunnels},
	settings.NameSSHRotation:                {exchangesKeys, repairsSSH, tunnels},
}

var (
	hardens    = test{"provider", "TestAccHardeningAppliesRenewsRepairsAndReverts"}
	refusesOwn = test{"provider", "TestAccBadCertificatesOfTheUsersOwnAreRefusedByThePlan"}
	verifies   = test{"tests/e2e", "TestTheApiserverVerifiesKubelets"}
	owns       = test{"provider", "TestAccCertificatesOfTheUsersOwnAreAppliedRepairedAndReverted"}
	keeps      = test{"tests/acceptance", "TestTheQuickstartHardensAClusterAndKeepsItSo"}
	narrows    = test{"provider", "TestAccTheApiserversIdentityAtKubeletsIsNarrowedRepairedAndReverted"}
	requests   = test{"provider", "TestAccKubeletsRequestTheirCertificatesAndAProgramOnTheNodeApproves"}
)
