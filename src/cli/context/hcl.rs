//! The one shape of HCL that a context file has: attributes of strings and booleans, and a block
//! `server` of more. Source: HCL native syntax specification, "Structural Elements", "Literals".
use super::{Context, MAX_FILE, Server};
use std::fmt::Write;

/// Reads a file's text; `file` is for the error.
///
/// # Errors
/// `FILE:LINE: what is wrong there`, in one line, without any value.
pub(crate) fn parse(file: &str, text: &str) -> Result<Context, String> {
    if text.len() > MAX_FILE {
        return Err(format!("{file}: longer than {MAX_FILE} bytes"));
    }
    let mut reader = Reader { rest: text, line: 1, context: Context::default() };
    match reader.body(false) {
        Ok(()) => Ok(reader.context),
        Err(wrong) => Err(format!("{file}:{}: {wrong}", reader.line)),
    }
}

/// The file's text: `parse` gives the same context back.
pub(crate) fn write(context: &Context) -> String {
    let mut text = String::new();
    for (name, value) in [("project", &context.project), ("application", &context.application)] {
        if !value.is_empty() {
            let _ = writeln!(text, "#! {name} = {}", quoted(value));
        }
    }
    let Server { address, tls, tls_skip_verify, address_internal, require_auth, .. } =
        &context.server;
    let _ = writeln!(text, "workspace = {}\n\nserver {{", quoted(&context.workspace));
    let _ = writeln!(text, "  address          = {}", quoted(address));
    let _ = writeln!(text, "  tls              = {tls}");
    let _ = writeln!(text, "  tls_skip_verify  = {tls_skip_verify}");
    let _ = writeln!(text, "  address_internal = {}", quoted(address_internal));
    let _ = writeln!(text, "  require_auth     = {require_auth}");
    let _ = writeln!(text, "  auth_token       = {}", quoted(&context.server.auth_token));
    let _ = writeln!(text, "  platform         = {}\n}}", quoted(&context.server.platform));
    text
}

fn quoted(value: &str) -> String {
    let mut text = String::from('"');
    let mut rest = value.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            // A template would begin here; doubled, it is itself.
            '$' | '%' if rest.peek() == Some(&'{') => text.extend([next, next]),
            control if control.is_control() => {
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            plain => text.push(plain),
        }
    }
    text.push('"');
    text
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    context: Context,
}

enum Value {
    Text(String),
    Truth(bool),
    Null,
}

impl Reader<'_> {
    /// Attributes and blocks up to the end of the file, or of the block.
    fn body(&mut self, in_server: bool) -> Result<(), String> {
        let mut blocks = 0;
        loop {
            self.blank()?;
            if self.rest.is_empty() {
                return if in_server { Err("the block is not closed".into()) } else { Ok(()) };
            }
            if in_server && self.take('}') {
                return Ok(());
            }
            let name = self.word()?;
            self.spaces();
            if self.take('=') {
                self.attribute(&name, in_server)?;
            } else if !in_server && name == "server" && self.take('{') {
                blocks += 1;
                if blocks > 1 {
                    return Err("a second block server".into());
                }
                self.body(true)?;
            } else {
                return Err(format!("after {name:?} something else than a value or block server"));
            }
        }
    }

    fn attribute(&mut self, name: &str, in_server: bool) -> Result<(), String> {
        self.spaces();
        let value = self.value()?;
        self.spaces();
        if !(self.rest.is_empty() || self.rest.starts_with(['\n', '\r', '#', '/', '}'])) {
            return Err(format!("more than one value for {name:?}"));
        }
        let server = &mut self.context.server;
        match (in_server, name) {
            (false, "workspace") => text(name, value, &mut self.context.workspace),
            (true, "address") => text(name, value, &mut server.address),
            (true, "tls") => truth(name, value, &mut server.tls),
            (true, "tls_skip_verify") => truth(name, value, &mut server.tls_skip_verify),
            (true, "address_internal") => text(name, value, &mut server.address_internal),
            (true, "require_auth") => truth(name, value, &mut server.require_auth),
            (true, "auth_token") => text(name, value, &mut server.auth_token),
            (true, "platform") => text(name, value, &mut server.platform),
            _ => Err(format!("{name:?} is no setting of a context")),
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        if self.rest.starts_with('"') {
            return self.string().map(Value::Text);
        }
        match self.word()?.as_str() {
            "true" => Ok(Value::Truth(true)),
            "false" => Ok(Value::Truth(false)),
            "null" => Ok(Value::Null),
            other => Err(format!("{other:?} is neither a string in quotes nor true or false")),
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut rest = self.rest.get(1..).unwrap_or("").chars();
        loop {
            let next = rest.next().ok_or("the string is not closed")?;
            match next {
                '"' => break,
                '\n' => return Err("the string is not closed on its line".into()),
                '\\' => text.push(escape(&mut rest)?),
                '$' | '%'
                    if rest.as_str().starts_with(next) && rest.as_str()[1..].starts_with('{') =>
                {
                    rest.next();
                    rest.next();
                    text.extend([next, '{']);
                }
                '$' | '%' if rest.as_str().starts_with('{') => {
                    return Err("templates are not read here".into());
                }
                plain => text.push(plain),
            }
        }
        self.rest = rest.as_str();
        Ok(text)
    }

    fn word(&mut self) -> Result<String, String> {
        let fit = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-');
        let end = self.rest.find(|it| !fit(it)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            let found = self.rest.chars().next().map_or("the end".into(), |it| format!("{it:?}"));
            return Err(format!("a name was expected, not {found}"));
        }
        self.rest = rest;
        Ok(word.to_owned())
    }

    /// Skips white space and comments; reads our own ones.
    fn blank(&mut self) -> Result<(), String> {
        loop {
            self.spaces();
            if self.take('\n') {
                self.line += 1;
            } else if self.rest.starts_with('#') || self.rest.starts_with("//") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                let (comment, rest) = self.rest.split_at(end);
                self.rest = rest;
                if let Some(ours) = comment.strip_prefix("#!") {
                    self.ours(ours)?;
                }
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let (comment, rest) =
                    comment.split_once("*/").ok_or("the comment is not closed")?;
                self.line += comment.matches('\n').count();
                self.rest = rest;
            } else {
                return Ok(());
            }
        }
    }

    /// ` project = "web"`; a comment of another shape is only a comment.
    fn ours(&mut self, comment: &str) -> Result<(), String> {
        let Some((name, value)) = comment.split_once('=') else { return Ok(()) };
        let mut reader = Reader { rest: value.trim(), line: 0, context: Context::default() };
        match name.trim() {
            "project" => self.context.project = reader.string_only()?,
            "application" => self.context.application = reader.string_only()?,
            _ => {}
        }
        Ok(())
    }

    fn string_only(&mut self) -> Result<String, String> {
        match self.value()? {
            Value::Text(text) if self.rest.is_empty() => Ok(text),
            _ => Err("one string in quotes was expected".into()),
        }
    }

    fn spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r']);
    }

    fn take(&mut self, wanted: char) -> bool {
        self.rest.strip_prefix(wanted).map(|rest| self.rest = rest).is_some()
    }
}

fn escape(rest: &mut std::str::Chars<'_>) -> Result<char, String> {
    let digits = match rest.next() {
        Some('n') => return Ok('\n'),
        Some('r') => return Ok('\r'),
        Some('t') => return Ok('\t'),
        Some('"') => return Ok('"'),
        Some('\\') => return Ok('\\'),
        Some('u') => 4,
        Some('U') => 8,
        _ => return Err("an unknown escape in the string".into()),
    };
    let number =
        rest.as_str().get(..digits).filter(|it| it.chars().all(|it| it.is_ascii_hexdigit()));
    let read = number
        .and_then(|it| u32::from_str_radix(it, 16).ok())
        .and_then(char::from_u32)
        .ok_or("an escape in the string that is no character")?;
    *rest = rest.as_str()[digits..].chars();
    Ok(read)
}

fn text(name: &str, value: Value, place: &mut String) -> Result<(), String> {
    match value {
        Value::Text(text) => *place = text,
        Value::Null => {}
        Value::Truth(_) => return Err(format!("{name:?} is a string in quotes")),
    }
    Ok(())
}

fn truth(name: &str, value: Value, place: &mut bool) -> Result<(), String> {
    match value {
        Value::Truth(truth) => *place = truth,
        Value::Null => {}
        Value::Text(_) => return Err(format!("{name:?} is true or false, without quotes")),
    }
    Ok(())
}
