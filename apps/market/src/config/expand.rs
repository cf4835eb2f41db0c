//! `${NAME}` in values.

use settings::{At, Node, Result, Value};

/// Sections that other programs read from the same file; their variables need not be set here.
pub(super) const OF_OTHERS: [&str; 1] = ["analyzer"];

/// Puts variables in. They stand for text alone: whatever they hold, it makes no other keys or values.
pub(super) fn expand(root: &mut Node, variable: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    let Value::Map(sections) = &mut root.value else { return Ok(()) };
    let read = sections.iter_mut().filter(|(name, _)| !OF_OTHERS.contains(&name.as_str()));
    read.into_iter().try_for_each(|(name, node)| within(node, name, variable))
}

fn within(node: &mut Node, path: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    let expanded = match &mut node.value {
        Value::Map(fields) => {
            return fields.iter_mut().try_for_each(|(key, node)| within(node, &format!("{path}.{key}"), variable));
        }
        Value::List(items) => {
            let mut items = items.iter_mut().enumerate();
            return items.try_for_each(|(at, node)| within(node, &format!("{path}[{at}]"), variable));
        }
        Value::Text { text, .. } => filled(text, variable),
    };
    let text = expanded.map_err(|name| {
        let expected = format!("the value itself, or set the environment variable {name}");
        At { node, path: path.to_owned() }.wrong(expected)
    })?;
    if let Value::Text { text: place, .. } = &mut node.value {
        *place = text;
    }
    Ok(())
}

/// The error is the name of a variable that is not set. What is not closed is left as it is.
fn filled(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> std::result::Result<String, String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, name, after)) = rest
        .split_once("${")
        .and_then(|(before, after)| after.split_once('}').map(|(name, after)| (before, name, after)))
    {
        filled.push_str(before);
        filled.push_str(&variable(name).ok_or_else(|| name.to_owned())?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}
