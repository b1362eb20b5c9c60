//! What a type in a signature means to the attribute, as far as its name tells: a macro sees no more than that.

use proc_macro2::{Delimiter, Spacing, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{GenericArgument, PathArguments, Type};

/// The first type between the angle brackets of a type whose last name is `name`, such as `T` in `std::option::Option<T>`.
pub(crate) fn argument_of<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = peeled(ty) else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// Whether the last name of a type is `name`, and nothing stands between angle brackets after it.
pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    match peeled(ty) {
        Type::Path(path) => {
            path.path.segments.last().is_some_and(|last| last.ident == name && last.arguments.is_none())
        }
        _ => false,
    }
}

/// The type without parentheses, and without the invisible ones that a `macro_rules` macro leaves.
pub(crate) fn peeled(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peeled(&group.elem),
        Type::Paren(paren) => peeled(&paren.elem),
        ty => ty,
    }
}

/// Where a type is written, for code that fails to compile because of it; its names are those of generated code.
pub(crate) fn place(ty: &Type) -> Span {
    ty.span().resolved_at(Span::call_site())
}

/// A type as a person writes it, such as `Vec<(String, u8)>`.
pub(crate) fn text(ty: &Type) -> String {
    let mut text = String::new();
    append(&mut text, ty.to_token_stream());
    text
}

fn append(text: &mut String, tokens: TokenStream) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => append_group(text, &group),
            TokenTree::Punct(punct) => {
                text.push(punct.as_char());
                let has_space = match punct.as_char() {
                    ',' | ';' => true,
                    '+' | '=' => punct.spacing() == Spacing::Alone,
                    _ => false,
                };
                if has_space {
                    text.push(' ');
                }
            }
            token => {
                // Two words in a row, such as `dyn Trait`, or one after the `>` of an arrow, need a space.
                if text.ends_with(|last: char| last.is_alphanumeric() || last == '_') || text.ends_with("->") {
                    text.push(' ');
                }
                text.push_str(&token.to_string());
            }
        }
    }
}

fn append_group(text: &mut String, group: &proc_macro2::Group) {
    let (open, close) = match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::None => ("", ""),
    };
    text.push_str(open);
    append(text, group.stream());
    text.push_str(close);
}

#[cfg(test)]
mod tests {
    use syn::parse_str;

    use super::*;

    #[test]
    fn a_type_is_written_as_a_person_writes_it() {
        let same =
            ["u8", "Vec<(String, u8)>", "std::collections::HashMap<String, [u8; 4]>", "&str", "()", "Option<Vec<u8>>"];
        for written in same {
            assert_eq!(text(&parse_str(written).unwrap()), written);
        }
        assert_eq!(text(&parse_str(" Box < dyn   Fn (u8)->u8 > ").unwrap()), "Box<dyn Fn(u8)-> u8>");
    }

    #[test]
    fn the_argument_of_a_type_is_found_by_its_last_name() {
        let ty: Type = parse_str("std::result::Result<u8, Oops>").unwrap();
        assert_eq!(text(argument_of(&ty, "Result").unwrap()), "u8");
        assert!(argument_of(&ty, "Option").is_none());
        assert!(argument_of(&parse_str("Result").unwrap(), "Result").is_none());
        assert_eq!(text(argument_of(&parse_str("(Option<u8>)").unwrap(), "Option").unwrap()), "u8");
    }

    #[test]
    fn a_plain_name_has_no_arguments() {
        assert!(is_named(&parse_str("rpc::Context").unwrap(), "Context"));
        assert!(!is_named(&parse_str("Context<u8>").unwrap(), "Context"));
        assert!(!is_named(&parse_str("(Context, u8)").unwrap(), "Context"));
    }
}
