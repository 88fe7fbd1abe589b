package settings

// Member is an attribute of the elements of a setting whose form is Objects.
type Member struct {
	Name    string // of the attribute
	Key     string // in JSON
	Meaning string // one sentence or more, Markdown
	Form    Form   // Text, Texts, Switch, or, with members, Objects
	// One says that there is a single object, not a list of any number.
	One      bool
	Members  []Member
	Required bool
}

func text(name, key, meaning string) Member {
	return Member{Name: name, Key: key, Meaning: meaning, Form: Text}
}

func object(name, key, meaning string, members ...Member) Member {
	return Member{Name: name, Key: key, Meaning: meaning, Form: Objects, One: true, Members: members}
}

func objects(name, key, meaning string, members ...Member) Member {
	return Member{Name: name, Key: key, Meaning: meaning, Form: Objects, Members: members}
}

func (m Member) required() Member {
	m.Required = true
	return m
}
