//! Reads a selector. `and` binds tighter than `or`; both associate to the right.
use super::{Expression, MAX_DEPTH, MAX_TEXT, Malformed, Test};

/// What a compiled regular expression may take.
const MAX_REGEX: usize = 256 * 1024;

pub(super) fn parse(text: &str) -> Result<Expression, Malformed> {
    if text.len() > MAX_TEXT {
        let why = format!("a selector has at most {MAX_TEXT} bytes: too long");
        return Err(Malformed { at: MAX_TEXT + 1, why });
    }
    let mut reader = Reader { text, rest: text, depth: 0 };
    let expression = reader.or()?;
    reader.blanks();
    if reader.rest.is_empty() {
        Ok(expression)
    } else {
        reader.fail("expected and, or, or the end")
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    depth: usize,
}

enum Operator {
    Is,
    Contains,
    Empty,
    Matches,
}

impl<'a> Reader<'a> {
    fn or(&mut self) -> Result<Expression, Malformed> {
        self.deeper(|it| {
            let left = it.and()?;
            if !it.word("or") {
                return Ok(left);
            }
            Ok(Expression::Or(Box::new(left), Box::new(it.or()?)))
        })
    }

    fn and(&mut self) -> Result<Expression, Malformed> {
        self.deeper(|it| {
            let left = it.not()?;
            if !it.word("and") {
                return Ok(left);
            }
            Ok(Expression::And(Box::new(left), Box::new(it.and()?)))
        })
    }

    fn not(&mut self) -> Result<Expression, Malformed> {
        if self.word("not") {
            return self.deeper(|it| Ok(Expression::Not(Box::new(it.not()?))));
        }
        if self.symbol("(") {
            let inner = self.or()?;
            return if self.symbol(")") { Ok(inner) } else { self.fail("expected )") };
        }
        self.test()
    }

    /// `SEL op VALUE` and `SEL is empty` first; else it must be `VALUE in SEL`.
    fn test(&mut self) -> Result<Expression, Malformed> {
        let start = self.rest;
        if let Ok(label) = self.label()
            && let Some((operator, negated)) = self.operator()
        {
            let test = match operator {
                Operator::Empty => Test::Empty,
                Operator::Is => Test::Is(self.value()?),
                Operator::Contains => Test::Contains(self.value()?),
                Operator::Matches => Test::Matches(self.regex()?),
            };
            return Ok(Expression::Test { label, test, negated });
        }
        self.rest = start;
        let test = Test::Contains(self.value()?);
        let negated = self.word("not");
        if !self.word("in") {
            return self.fail("expected ==, !=, contains, in, matches or is empty");
        }
        Ok(Expression::Test { label: self.label()?, test, negated })
    }

    fn operator(&mut self) -> Option<(Operator, bool)> {
        let start = self.rest;
        let found = if self.symbol("==") {
            Some((Operator::Is, false))
        } else if self.symbol("!=") {
            Some((Operator::Is, true))
        } else if self.word("is") {
            let negated = self.word("not");
            self.word("empty").then_some((Operator::Empty, negated))
        } else {
            let negated = self.word("not");
            if self.word("contains") {
                Some((Operator::Contains, negated))
            } else {
                self.word("matches").then_some((Operator::Matches, negated))
            }
        };
        if found.is_none() {
            self.rest = start;
        }
        found
    }

    /// An identifier or a JSON pointer of one part; labels are texts and have nothing inside.
    fn label(&mut self) -> Result<String, Malformed> {
        self.blanks();
        if self.rest.starts_with('"') {
            let start = self.rest;
            let pointer = self.quoted()?;
            let name = pointer.strip_prefix('/').filter(|it| !it.is_empty() && !it.contains('/'));
            let Some(name) = name else {
                self.rest = start;
                return self.fail("expected the name of a label, such as env or \"/env\"");
            };
            // Source: RFC 6901, section 4: ~1 before ~0.
            return Ok(name.replace("~1", "/").replace("~0", "~"));
        }
        let name = self.identifier()?;
        if self.rest.starts_with(['.', '[']) {
            return self.fail("a label has nothing inside; a name with a dot is written \"/a.b\":");
        }
        Ok(name.into())
    }

    fn identifier(&mut self) -> Result<&'a str, Malformed> {
        let part = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '/';
        let end = self.rest.find(|it| !part(it)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if !name.starts_with(|it: char| it.is_ascii_alphabetic()) {
            return self.fail("expected a label or a value");
        }
        self.rest = rest;
        Ok(name)
    }

    fn value(&mut self) -> Result<String, Malformed> {
        self.blanks();
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        if let Some(raw) = self.rest.strip_prefix('`') {
            let Some((value, rest)) = raw.split_once('`') else {
                return self.fail("the ` is never closed:");
            };
            self.rest = rest;
            return Ok(value.into());
        }
        if self.rest.starts_with(|it: char| it.is_ascii_digit() || it == '-') {
            return self.number();
        }
        self.identifier().map(Into::into)
    }

    /// As it is written: labels are compared as texts.
    fn number(&mut self) -> Result<String, Malformed> {
        let part = |it: char| it.is_ascii_digit() || it == '.' || it == '-';
        let end = self.rest.find(|it| !part(it)).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        let digits = number.strip_prefix('-').unwrap_or(number);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) {
            return self.fail("expected a number such as -1 or 2.5");
        }
        self.rest = rest;
        Ok(number.into())
    }

    fn regex(&mut self) -> Result<regex::Regex, Malformed> {
        self.blanks();
        let start = self.rest;
        let pattern = self.value()?;
        let regex = regex::RegexBuilder::new(&pattern).size_limit(MAX_REGEX).build();
        regex.or_else(|_| {
            self.rest = start;
            self.fail("expected a regular expression (RE2)")
        })
    }

    /// A text in double quotes, with Go's escapes.
    fn quoted(&mut self) -> Result<String, Malformed> {
        let start = self.rest;
        let mut text = String::new();
        let mut rest = self.rest.chars();
        rest.next();
        loop {
            let next = match rest.next() {
                Some('"') => break,
                Some('\\') => escaped(&mut rest),
                Some('\n') | None => None,
                other => other,
            };
            let Some(next) = next else {
                self.rest = start;
                return self.fail("the text in quotes is not closed, or has a wrong escape:");
            };
            text.push(next);
        }
        self.rest = rest.as_str();
        Ok(text)
    }

    /// A word of the language, with what may not go on as a name behind it.
    fn word(&mut self, word: &str) -> bool {
        let start = self.rest;
        self.blanks();
        let ends = |it: &&str| {
            !it.starts_with(|it: char| it.is_ascii_alphanumeric() || it == '_' || it == '/')
        };
        if let Some(rest) = self.rest.strip_prefix(word).filter(ends) {
            self.rest = rest;
            return true;
        }
        self.rest = start;
        false
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        self.blanks();
        self.rest.strip_prefix(symbol).map(|rest| self.rest = rest).is_some()
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn deeper(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Expression, Malformed>,
    ) -> Result<Expression, Malformed> {
        // Each level of the language is two or three of ours.
        if self.depth > MAX_DEPTH * 3 {
            return self.fail("too deep an expression");
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn fail<T>(&self, why: &str) -> Result<T, Malformed> {
        let read = self.text.len() - self.rest.len();
        let at = self.text.get(..read).map_or(0, |it| it.chars().count()) + 1;
        Err(Malformed { at, why: why.into() })
    }
}

/// What stands behind a backslash. Source: the Go specification, "Rune literals".
fn escaped(rest: &mut std::str::Chars<'_>) -> Option<char> {
    let kind = rest.next()?;
    let digits = match kind {
        'a' => return Some('\x07'),
        'b' => return Some('\x08'),
        'f' => return Some('\x0c'),
        'n' => return Some('\n'),
        'r' => return Some('\r'),
        't' => return Some('\t'),
        'v' => return Some('\x0b'),
        '\\' | '"' => return Some(kind),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return None,
    };
    let mut number = 0;
    for _ in 0..digits {
        number = number * 16 + rest.next()?.to_digit(16)?;
    }
    char::from_u32(number)
}
