//! The tree of living actors in words.

use serde_json::Value;
use toq_api::TreeNode;

use super::sanitize;

/// How deep the tree is shown; a daemon's is four levels.
const DEPTH: usize = 32;

/// Returns a tree with one actor per line.
pub fn words(root: &TreeNode) -> String {
    let mut text = label(root);
    children(root, "", DEPTH, &mut text);
    text
}

fn children(node: &TreeNode, indent: &str, depth: usize, text: &mut String) {
    if depth == 0 {
        return;
    }
    for (index, child) in node.children.iter().enumerate() {
        let last = index + 1 == node.children.len();
        let (branch, below) = if last { ("└── ", "    ") } else { ("├── ", "│   ") };
        text.push_str(&format!("\n{indent}{branch}{}", label(child)));
        children(child, &format!("{indent}{below}"), depth - 1, text);
    }
}

fn label(node: &TreeNode) -> String {
    let mut label = sanitize::name(&node.kind);
    if !node.name.is_empty() && node.name != node.kind {
        label.push_str(&format!(" {}", sanitize::name(&node.name)));
    }
    if let Value::Object(detail) = &node.detail {
        for (key, value) in detail {
            let value = match value {
                Value::String(value) => sanitize::name(value),
                other => sanitize::name(&other.to_string()),
            };
            label.push_str(&format!("  {}={value}", sanitize::name(key)));
        }
    }
    label
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tree_is_drawn() {
        let root: TreeNode = serde_json::from_value(json!({
            "name": "", "kind": "registry", "detail": {}, "children": [
                {"name": "alice", "kind": "workspace", "detail": {"outbox": 2}, "children": [
                    {"name": "9009", "kind": "door"}]},
                {"name": "bob", "kind": "workspace"}]}))
        .expect("a tree");

        let expected = "registry\n├── workspace alice  outbox=2\n│   └── door 9009\n└── workspace bob";

        assert_eq!(words(&root), expected);
    }
}
