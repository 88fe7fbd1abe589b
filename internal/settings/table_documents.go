package settings

import "github.com/kubecomm/terraform-provider-kubecomm/internal/authconfig"

const (
	apiserverGroup = "apiserver"

	attributePaths       = "anonymous_paths"
	attributeJWT         = "jwt_issuers"
	attributeAuthorizers = "authorizers"
	attributeClientCA    = "client_ca_bundle"
)

// documentTable lists the settings that become files of apiservers.
func documentTable() []Setting {
	return []Setting{
		{
			Name: apiserverGroup + "." + attributePaths,
			Meaning: "The paths that clients may ask apiservers for without credentials, compared as a whole, by an " +
				"`AuthenticationConfiguration`. `/livez`, `/readyz` and `/healthz` must be among them, because probes and load " +
				"balancers have no credentials; `" + joinPath + "` is what lets a node join by a token. `[\"*\"]` stands for " +
				"every path.",
			Protects:    toAPIServer,
			TakesEffect: swaps,
			Document:    authenticationFlag,
			Form:        Texts,
			CIS:         []string{"1.2.1"},
			check:       checkPaths,
			Restricted:  append(neededPaths(), joinPath),
		},
		{
			Name: apiserverGroup + "." + attributeJWT,
			Meaning: "Issuers of tokens by which people and programs authenticate, besides those of service accounts, by " +
				"an `AuthenticationConfiguration`. They can't be together with an apiserver's `--oidc-` flags.",
			Protects:        toAPIServer,
			TakesEffect:     swaps,
			Document:        authenticationFlag,
			Form:            Objects,
			Members:         jwtMembers(),
			check:           checkJWT,
			canonicalObject: authconfig.CanonicalJWT,
		},
		{
			Name: apiserverGroup + "." + attributeAuthorizers,
			Meaning: "Who decides what an authenticated client may do, one asked after the other, by an " +
				"`AuthorizationConfiguration`, in place of `authorization_modes`: `Node` and `RBAC`, and webhooks, each for " +
				"the requests that match its conditions.",
			Protects:        toAPIServer,
			TakesEffect:     swaps,
			Document:        authorizationFlag,
			Form:            Objects,
			Members:         authorizerMembers(),
			CIS:             []string{"1.2.6", "1.2.7", "1.2.8"},
			check:           checkAuthorizers,
			canonicalObject: authconfig.CanonicalAuthorizer,
			excludes:        "authorization_modes",
		},
		{
			Name: apiserverGroup + "." + attributeClientCA,
			Meaning: "The CAs whose client certificates apiservers accept, in PEM, by `--client-ca-file`. The cluster's own " +
				"must be among them, as long as kubelets and administrators have certificates of it. To replace a CA, " +
				"declare the new one with the old one, then the new one alone.",
			Protects:    toAPIServer,
			TakesEffect: swaps,
			Document:    clientCAFlag,
			Form:        Certificates,
			CIS:         []string{"1.2.25"},
			check:       checkBundle("it is empty, and would exclude every client"),
		},
	}
}

func jwtMembers() []Member {
	mapping := func(of string) []Member {
		return []Member{
			text("claim", "claim", "The claim that has the "+of+"."),
			text("prefix", "prefix", "What is put before it, so that it can't be taken for anybody else's; needed with "+
				"`claim`, and may be empty."),
			text("expression", "expression", "A CEL expression of `claims` in place of a claim."),
		}
	}
	rules := func(of string) []Member {
		return []Member{
			text("expression", "expression", "A CEL expression of `"+of+"` that must be true.").required(),
			text("message", "message", "What a refusal says."),
		}
	}
	return []Member{
		object("issuer", "issuer", "Who issues the tokens, and for whom.",
			text("url", "url", "The issuer's URL, as tokens name it.").required(),
			text("discovery_url", "discoveryURL", "Where the issuer's keys are found, if not under its URL."),
			Member{Name: "audiences", Key: "audiences", Meaning: "Whom tokens must be for.", Form: Texts, Required: true},
			text("audience_match_policy", "audienceMatchPolicy", "`MatchAny`, which is needed with several audiences."),
			text("certificate_authority", "certificateAuthority", "The CAs that the issuer is verified by, in PEM; those of "+
				"the apiserver's image if left out."),
			text("egress_selector_type", "egressSelectorType", "Which way the issuer is asked: `controlplane` or `cluster`."),
		).required(),
		object("claim_mappings", "claimMappings", "Who the user is.",
			object("username", "username", "The user's name.", mapping("user's name")...).required(),
			object("groups", "groups", "The user's groups.", mapping("user's groups")...),
			object("uid", "uid", "The user's UID.",
				text("claim", "claim", "The claim that has the UID."),
				text("expression", "expression", "A CEL expression of `claims` in place of a claim.")),
			objects("extra", "extra", "Further attributes of the user.",
				text("key", "key", "The attribute, with a domain as its prefix.").required(),
				text("value_expression", "valueExpression", "A CEL expression of `claims`.").required()),
		).required(),
		objects("claim_validation_rules", "claimValidationRules", "What tokens must say.",
			text("claim", "claim", "A claim that must have a value."),
			text("required_value", "requiredValue", "That value."),
			text("expression", "expression", "A CEL expression of `claims` that must be true, in place of a claim."),
			text("message", "message", "What a refusal says; with an expression alone."),
		),
		objects("user_validation_rules", "userValidationRules", "What users must be like.", rules("user")...),
	}
}

func authorizerMembers() []Member {
	return []Member{
		text("type", "type", "`Node`, `RBAC` or `Webhook`.").required(),
		text("name", "name", "What metrics call it; each has a name of its own.").required(),
		object("webhook", "webhook", "How a webhook is asked.",
			text("authorized_ttl", "authorizedTTL", "How long a consent is remembered, such as `5m0s`.").required(),
			text("unauthorized_ttl", "unauthorizedTTL", "How long a refusal is remembered, such as `30s`.").required(),
			text("timeout", "timeout", "How long an answer may take, at most `30s`.").required(),
			text("subject_access_review_version", "subjectAccessReviewVersion", "`v1`.").required(),
			text("match_condition_subject_access_review_version", "matchConditionSubjectAccessReviewVersion",
				"`v1`, where there are conditions."),
			text("failure_policy", "failurePolicy", "What a webhook that doesn't answer stands for: `NoOpinion` or "+
				"`Deny`.").required(),
			object("connection_info", "connectionInfo", "Where the webhook is.",
				text("type", "type", "`KubeConfigFile`.").required(),
				text("kube_config_file", "kubeConfigFile", "A kubeconfig on every control-plane node, in a folder that "+
					"apiservers see, such as `/etc/kubernetes/pki`.")).required(),
			objects("match_conditions", "matchConditions", "All must be true of a request for the webhook to be asked.",
				text("expression", "expression", "A CEL expression of `request`.").required()),
		),
	}
}
