//! `#[task]`: reads the signature, says what is wrong with it, and writes the `Handler` beside the function.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, ItemFn, Path, Result, ReturnType, Token, Type, parse_quote};

/// What stands in `#[task(..)]`.
struct Settings {
    blocking: bool,
    runtime: Path,
}

impl Parse for Settings {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut settings = Self {
            blocking: false,
            runtime: parse_quote!(::sapari_runtime),
        };
        while !input.is_empty() {
            settings.read_one(input)?;
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(settings)
    }
}

impl Settings {
    fn read_one(&mut self, input: ParseStream<'_>) -> Result<()> {
        if input.parse::<Option<Token![crate]>>()?.is_some() {
            input.parse::<Token![=]>()?;
            self.runtime = input.call(Path::parse_mod_style)?;
            return Ok(());
        }
        let word: Ident = input.parse()?;
        if word != "blocking" {
            return Err(Error::new(
                word.span(),
                "#[task] knows only `blocking`; name, queue and policy stand on the task's type",
            ));
        }
        self.blocking = true;
        Ok(())
    }
}

pub(crate) fn expand(attributes: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let settings: Settings = syn::parse2(attributes)?;
    let function: ItemFn = syn::parse2(item)?;
    check(&settings, &function)?;
    let handler = handler(&settings, &function)?;
    // A handler owns what it is given; that a plain function could borrow it is no news.
    let by_value = settings
        .blocking
        .then(|| quote! { #[allow(clippy::needless_pass_by_value)] });
    Ok(quote! { #by_value #function #handler })
}

/// One mistake, one sentence, at the place where it stands.
fn check(settings: &Settings, function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    match (settings.blocking, signature.asyncness.is_some()) {
        (false, false) => Err(Error::new(
            signature.fn_token.span(),
            "a task is an `async fn`; a plain `fn` takes #[task(blocking)]",
        )),
        (true, true) => Err(Error::new(
            signature.asyncness.span(),
            "#[task(blocking)] goes on a plain `fn`, not on an `async fn`",
        )),
        _ if !signature.generics.params.is_empty() => Err(Error::new(
            signature.generics.span(),
            "a task is one kind of work: its function cannot be generic",
        )),
        _ if matches!(signature.output, ReturnType::Default) => Err(Error::new(
            signature.ident.span(),
            "a task returns `TaskResult<..>` with its Output",
        )),
        _ => Ok(()),
    }
}

fn handler(settings: &Settings, function: &ItemFn) -> Result<TokenStream> {
    let (args, extras) = parameters(function)?;
    let runtime = &settings.runtime;
    let (name, vis) = (&function.sig.ident, &function.vis);
    let bindings: Vec<Ident> = (0..extras.len())
        .map(|n| format_ident!("extra_{n}"))
        .collect();
    let call = call(settings, name, &bindings);
    let doc = format!("The handler `{name}`, for `Worker::task`.");
    Ok(quote! {
        #[doc = #doc]
        #[allow(non_camel_case_types)]
        #vis struct #name {}

        impl<S> #runtime::handler::Handler<S> for #name
        where
            S: ::core::marker::Send + ::core::marker::Sync + 'static,
            #(#extras: #runtime::handler::FromContext<S>,)*
        {
            type Task = #args;

            async fn run(
                args: Self::Task,
                cx: #runtime::context::TaskContext,
                state: &S,
            ) -> #runtime::error::TaskResult<<Self::Task as #runtime::task::Task>::Output> {
                #(let #bindings = <#extras as #runtime::handler::FromContext<S>>::from_context(&cx, state);)*
                #call
            }
        }
    })
}

fn call(settings: &Settings, name: &Ident, bindings: &[Ident]) -> TokenStream {
    let runtime = &settings.runtime;
    if settings.blocking {
        quote! { #runtime::handler::run_blocking(move || #name(args, #(#bindings),*)).await }
    } else {
        quote! { #name(args, #(#bindings),*).await }
    }
}

/// The type of the args, and those of the parameters after it.
fn parameters(function: &ItemFn) -> Result<(&Type, Vec<&Type>)> {
    let mut types = Vec::new();
    for input in &function.sig.inputs {
        match input {
            FnArg::Typed(typed) => types.push(&*typed.ty),
            other => {
                return Err(Error::new(
                    other.span(),
                    "a task is a free function: it cannot take `self`",
                ));
            }
        }
    }
    if types.is_empty() {
        return Err(Error::new(
            function.sig.ident.span(),
            "the first parameter of a task is its args, the type that implements `Task`",
        ));
    }
    let args = types.remove(0);
    Ok((args, types))
}
