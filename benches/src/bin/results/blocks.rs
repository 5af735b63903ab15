//! Blocks: the parts of a text that are renewed, between `<!-- NAME -->` and `<!-- /NAME -->`.

/// `text` with `content` in its block `name`; `None` if it has no such block.
pub(crate) fn renewed(text: &str, name: &str, content: &str) -> Option<String> {
    let (opening, closing) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, after) = text.split_once(&opening)?;
    let (_, after) = after.split_once(&closing)?;
    let content = content.trim();
    let content = if content.is_empty() {
        String::new()
    } else {
        format!("\n{content}\n\n")
    };
    Some(format!("{before}{opening}{content}{closing}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_renewed_as_often_as_one_likes() {
        let text = "a\n<!-- x -->\n<!-- /x -->\nb\n";
        let once = renewed(text, "x", "new\n").unwrap();
        assert_eq!(once, "a\n<!-- x -->\n\nnew\n\n<!-- /x -->\nb\n");
        assert_eq!(renewed(&once, "x", "new").unwrap(), once);
        assert_eq!(renewed(&once, "x", "").unwrap(), text);
        assert_eq!(renewed(text, "y", "new"), None);
    }
}
