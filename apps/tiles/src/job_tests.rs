use super::*;
use crate::grid::Bounds;

fn area(west: f64) -> Area {
    Bounds::new(west, -6.4, west + 0.4, -6.0).unwrap().into()
}

/// What a person says at first.
fn first() -> Request {
    Request { area: Some(area(106.6)), zooms: Some(0..=12), ..Request::default() }
}

fn url() -> Option<String> {
    Some("https://h/{z}/{x}/{y}.png".into())
}

fn begun() -> Job {
    Job::new(None, first(), url()).unwrap()
}

/// What comes of a job with everything in it.
fn full() -> Job {
    let request = Request {
        layer: Some("roads".into()),
        matrix_set: Some("EPSG:3857".into()),
        subdomains: Some("abc".into()),
        tms: true,
        double: true,
        headers: vec!["X-Token: ${TOKEN}".into(), "X: \"quoted\"".into()],
        agent: Some("me/1".into()),
        apikey_file: Some("key.txt".into()),
        concurrent: Some(64),
        rate: Some(12.5),
        batch: Some(2500),
        format: Some(Format::Webp),
        ..first()
    };
    let resolved = Some(Resolved { template: "https://t/{z}/{x}/{y}.png?v=1".into(), tms: true });
    Job { resolved, slots: Some(12), ..Job::new(None, request, url()).unwrap() }
}

#[test]
fn what_is_not_said_has_a_default_or_is_asked_for() {
    let job = begun();
    assert_eq!((job.concurrent, job.rate, job.batch, job.format, job.slots), (CONCURRENT, None, None, None, None));
    assert_eq!(job.wanted.plan().unwrap().total(), 59);

    for (request, url, says) in [
        (first(), None, "there is no source"),
        (Request { area: None, ..first() }, url(), "there is no area"),
        (Request { zooms: None, ..first() }, url(), "there are no zooms"),
        (Request { area: None, zooms: None, ..first() }, url(), "there is no area"),
    ] {
        let error = Job::new(None, request, url).unwrap_err();
        assert_eq!(error.to_string(), says);
        assert!(error.hint().contains("say"), "{}", error.hint());
    }
}

#[test]
fn what_is_said_later_goes_before_what_was_said_and_the_rest_stays() {
    assert_eq!(Job::new(Some(full()), Request::default(), None).unwrap(), full(), "the file alone is enough");

    let more = Request {
        agent: Some("me/2".into()),
        concurrent: Some(8),
        rate: Some(5.0),
        batch: Some(100),
        headers: vec!["X: other".into()],
        ..Request::default()
    };
    let job = Job::new(Some(full()), more, url()).unwrap();

    assert_eq!((job.agent.as_deref(), job.concurrent, job.rate, job.batch), (Some("me/2"), 8, Some(5.0), Some(100)));
    assert_eq!(job.headers, ["X: other"], "headers are said together");
    let same = |job: &Job| (job.url.clone(), job.resolved.clone(), job.layer.clone(), job.wanted.clone(), job.slots);
    assert_eq!(same(&job), same(&full()));
}

#[test]
fn other_areas_and_zooms_are_added() {
    let total = |request| Job::new(Some(begun()), request, None).unwrap().wanted.plan().unwrap().total();

    assert_eq!(total(Request::default()), 59);
    assert_eq!(total(Request { zooms: Some(0..=13), ..Request::default() }), 159, "the same area deeper");
    assert_eq!(total(Request { zooms: Some(3..=5), ..Request::default() }), 59);
    let elsewhere = total(Request { area: Some(area(13.0)), ..Request::default() });
    assert!((60..200).contains(&elsewhere), "at the same zooms: {elsewhere}");

    let two = Job::new(Some(begun()), Request { area: Some(area(13.0)), ..Request::default() }, None).unwrap();
    let error = Job::new(Some(two), Request { zooms: Some(0..=13), ..Request::default() }, None).unwrap_err();
    assert!(
        error.to_string().starts_with("there are several areas in the file"),
        "nobody knows which of the two: {error}"
    );
}

#[test]
fn another_source_is_refused_unless_it_is_meant() {
    let https = |host: &str| Some(format!("https://{host}/{{z}}/{{x}}/{{y}}.png"));
    let refused = |request, url| Job::new(Some(begun()), request, url).unwrap_err().to_string();

    assert_eq!(
        refused(Request::default(), https("other")),
        "the tiles in the file come from https://h/{z}/{x}/{y}.png, and not from https://other/{z}/{x}/{y}.png"
    );
    let from_south = refused(Request { tms: true, ..Request::default() }, None);
    assert!(from_south.ends_with("and not from https://h/{z}/{x}/{y}.png, rows from the south"), "{from_south}");
    assert!(refused(Request { double: true, ..Request::default() }, url()).ends_with(", double size"));
    assert!(refused(Request { layer: Some("b".into()), ..Request::default() }, url()).ends_with(", layer b"));
    assert!(Job::new(Some(full()), Request { tms: true, ..Request::default() }, url()).is_ok());
}

#[test]
fn another_source_that_is_meant_gets_nothing_of_the_first_ones() {
    let replace = Request { replace_source: true, ..Request::default() };

    let job = Job::new(Some(full()), replace.clone(), Some("https://other/{z}/{x}/{y}".into())).unwrap();

    assert_eq!(job.headers, Vec::<String>::new(), "a secret of one server is nobody else's business");
    assert_eq!((job.apikey_file, job.subdomains, job.layer, job.matrix_set), (None, None, None, None));
    assert_eq!((job.tms, job.double, job.resolved, job.format, job.slots), (false, false, None, None, None));
    let of_the_person = (job.wanted, job.agent, job.concurrent, job.rate, job.batch);
    let Job { wanted, agent, concurrent, rate, batch, .. } = full();
    assert_eq!(of_the_person, (wanted, agent, concurrent, rate, batch));

    // Another layer of the same server has to be looked up, with the same headers.
    let job = Job::new(Some(full()), Request { layer: Some("b".into()), ..replace }, url()).unwrap();
    assert_eq!((job.resolved, job.headers), (None, full().headers));
    // Another set of the same layer has the same tiles.
    let set = Request { matrix_set: Some("other".into()), ..Request::default() };
    assert_eq!(Job::new(Some(full()), set, None).unwrap().resolved, None);
}

#[test]
fn what_is_kept_is_read_back() {
    for job in [begun(), full()] {
        let kept = job.kept();
        let value = |name: &str| kept.iter().find(|(known, _)| *known == name).and_then(|(_, value)| value.clone());

        let read = Job::read(|name| Ok::<_, ()>(value(name))).unwrap();

        assert_eq!(read, Some(job));
        let names: std::collections::BTreeSet<_> = kept.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), kept.len(), "each name once");
    }
    assert!(matches!(Job::read(|_| Ok::<_, ()>(None)), Ok(None)));
}

#[test]
fn what_cannot_be_read_is_named() {
    let kept = full().kept();
    let read = |changed: &str, to: Option<&str>| {
        let value = |name: &str| match kept.iter().find(|(known, _)| *known == name) {
            _ if name == changed => to.map(str::to_owned),
            Some((_, value)) => value.clone(),
            None => None,
        };
        match Job::read(|name| Ok::<_, ()>(value(name))) {
            Err(ReadError::Job(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };

    assert_eq!(read("version", Some("2")), "the job in the file is of version 2, this program knows 1");
    assert_eq!(read("url", None), "the job in the file has no usable \"url\"");
    assert_eq!(read("wanted", None), "the job in the file has no usable \"wanted\"");
    assert_eq!(read("headers", Some("[")), "the job in the file has no usable \"headers\"");
    assert!(read("wanted", Some("nonsense")).ends_with("no list of areas: nonsense"));
    let broken = Job::read(|_| Err::<Option<String>, _>("disk"));
    assert!(matches!(broken, Err(ReadError::File("disk"))));
}

#[test]
fn what_a_server_described_gets_no_secret_that_it_names() {
    let described = |template: &str| {
        let resolved = Some(Resolved { template: template.into(), tms: true });
        let job = Job { url: "https://h/tiles.json?key=***".into(), resolved, ..begun() };
        let secret = |_: &str| Some("s3cret".to_owned());
        job.template("https://h/tiles.json?key=s3cret", Some("s3cret"), &secret)
            .map(|template| template.map(|template| template.masked(crate::grid::Tile::new(2, 1, 0).unwrap())))
    };

    assert_eq!(described("https://t/{z}/{x}/{y}").unwrap().as_deref(), Some("https://t/2/1/3"));
    assert_eq!(described("https://t/{z}/{x}/{y}?key=***").unwrap(), None, "what was not kept is asked for again");
    for template in ["https://t/{z}/{x}/{y}?k={apikey}", "https://t/{z}/{x}/{y}?k=${HOME}"] {
        assert!(matches!(described(template), Err(TemplateError::NoValue { .. })), "{template}");
    }
    assert!(is_description("https://h/tiles.json") && !is_description("https://h/{q}"));
}
